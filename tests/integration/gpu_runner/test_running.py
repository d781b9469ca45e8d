"""Slices through a real simulated engine: outcomes, chunks, order settlement, swaps."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from tests.integration.gpu_runner.conftest import (
    BATCH,
    LIMITS,
    ORDERS_MAX,
    OTHER_BATCH,
    RUNNER,
    Bench,
    Steers,
    living,
    of_type,
    outcomes_of,
    simulated,
)
from vbatch.contracts import subjects
from vbatch.contracts.events import (
    ChunkCompleted,
    EngineCrashed,
    ModelFailed,
    ModelLoaded,
    ModelLoading,
    RunnerStopped,
    SliceReturned,
)
from vbatch.contracts.failures import RequestFault, ReturnReason
from vbatch.contracts.message import Message
from vbatch.gpu_runner.core.chunks import BODY_BYTES_MAX, CHUNK_BYTES_MAX, CHUNK_OUTCOMES_MAX
from vbatch.gpu_runner.core.concurrency import WAITING_MAX, WAITING_MIN
from vbatch.journal.memory import MemoryWorkQueue


async def test_a_slice_runs_and_every_line_has_one_outcome(bench: Bench, home: Path):
    await bench.register(simulated("small"))
    async with living(bench, home):
        slice_id = await bench.run_slice("small", 300)
        outcomes = await bench.outcomes(slice_id, 300)
    assert sorted(outcome.line for outcome in outcomes) == list(range(1, 301))
    assert {outcome.status_code for outcome in outcomes} == {200}
    assert all(outcome.custom_id == f"c{outcome.line}" for outcome in outcomes)
    assert outcomes[0].usage.input_tokens == 2
    assert b"[simulated] question" in bytes(outcomes[0].body)


async def test_chunks_keep_their_limits_and_count_from_one(bench: Bench, home: Path):
    await bench.register(simulated("small"))
    steer = {line: {"answer_bytes": 20_000} for line in range(1, 101)}
    async with living(bench, home):
        slice_id = await bench.run_slice("small", 200, steer=steer)
        await bench.outcomes(slice_id, 200)
        chunks = of_type(await bench.events(), ChunkCompleted)
    assert [chunk.chunk for chunk in chunks] == list(range(1, len(chunks) + 1))
    assert max(len(chunk.outcomes) for chunk in chunks) <= CHUNK_OUTCOMES_MAX
    assert max(sum(len(bytes(outcome.body)) for outcome in chunk.outcomes) for chunk in chunks) <= CHUNK_BYTES_MAX


async def test_a_lonely_outcome_is_recorded_within_a_second(bench: Bench, home: Path):
    await bench.register(simulated("small"))
    async with living(bench, home):
        slice_id = await bench.run_slice("small", 2, steer={2: {"latency_seconds": 30}})
        await bench.loaded("small")
        outcomes = await bench.outcomes(slice_id, 1, seconds=2)
    assert [outcome.line for outcome in outcomes] == [1]


async def test_an_answer_too_large_for_a_message_goes_to_a_blob(bench: Bench, home: Path):
    await bench.register(simulated("small"))
    async with living(bench, home):
        slice_id = await bench.run_slice("small", 2, steer={1: {"answer_bytes": BODY_BYTES_MAX}})
        outcomes = await bench.outcomes(slice_id, 2)
    large = next(outcome for outcome in outcomes if outcome.line == 1)
    assert large.body_blob and bytes(large.body) == b"null"
    assert await bench.blobs.size(large.body_blob) > BODY_BYTES_MAX


async def test_error_answers_are_outcomes_and_broken_ones_are_named(bench: Bench, home: Path):
    await bench.register(simulated("small"))
    steer: Steers = {
        1: {"status": 400},
        2: {"not_json": True},
        3: {"not_json": True, "status": 500},
        4: {"busy_count": 2},
        5: {"headers": {"x-odd": "a\x01b"}},
    }
    async with living(bench, home):
        slice_id = await bench.run_slice("small", 5, steer=steer)
        outcomes = {outcome.line: outcome for outcome in await bench.outcomes(slice_id, 5)}
    assert outcomes[1].status_code == 400
    assert outcomes[2].error and outcomes[2].error.code is RequestFault.UNREADABLE_ANSWER
    assert outcomes[3].status_code == 500 and bytes(outcomes[3].body).startswith(b'{"error":')
    assert outcomes[4].status_code == 200
    assert outcomes[5].error and outcomes[5].error.code is RequestFault.UNREADABLE_ANSWER
    assert outcomes[5].error.message == "The engine's answer was not HTTP: Invalid header value char."


async def test_what_may_not_fail_again_is_asked_again_and_the_engines_patience_is_kept(bench: Bench, home: Path):
    await bench.register(simulated("small"))
    steer: Steers = {
        1: {"busy_count": 2, "busy_status": 500},
        2: {"busy_count": 1, "busy_status": 429, "retry_after": "0.7"},
        3: {"busy_count": 9, "busy_status": 502},
        4: {"busy_count": 1, "busy_status": 501},
    }
    async with living(bench, home):
        slice_id = await bench.run_slice("small", 4, steer=steer)
        outcomes = {outcome.line: outcome for outcome in await bench.outcomes(slice_id, 4)}
    assert [outcomes[line].status_code for line in (1, 2, 3, 4)] == [200, 200, 502, 501]
    assert outcomes[2].seconds >= 0.7
    assert b"Busy, as asked for" in bytes(outcomes[3].body)


async def test_the_window_follows_an_engine_that_is_short_of_room(bench: Bench, home: Path):
    definition = simulated("small", max_num_seqs=128, **{"running-max": 3, "latency-seconds": 0.02})
    await bench.register(definition)
    async with living(bench, home, replace(LIMITS, load_seconds=0.05)) as life:
        await bench.run_slice("small", 300)
        metrics = life.runner.metrics
        await life.until(lambda: metrics.stats is not None and metrics.concurrency - 3 <= WAITING_MAX)
        assert metrics.stats and metrics.stats.running <= 3
        assert metrics.concurrency - 3 >= WAITING_MIN


async def test_the_window_is_filled_across_slices_and_batches(bench: Bench, home: Path):
    await bench.register(simulated("small", max_num_seqs=8, latency_seconds=0.3))
    async with living(bench, home) as life:
        await bench.run_slice("small", 3)
        await bench.run_slice("small", 3, batch=OTHER_BATCH)
        last = await bench.run_slice("small", 3)
        await bench.loaded("small")
        await life.until(lambda: life.runner.feed.inside_count >= 9)
        await bench.outcomes(last, 3)


async def test_another_model_is_swapped_in_when_the_first_is_done(bench: Bench, home: Path):
    await bench.register(simulated("small"), simulated("large"))
    async with living(bench, home):
        first = await bench.run_slice("small", 50)
        second = await bench.run_slice("large", 50)
        third = await bench.run_slice("small", 50)
        await bench.outcomes(third, 50)
        events = await bench.wait(lambda seen: len(outcomes_of(seen, second)) == 50)
    swaps = [event.model for event in of_type(events, ModelLoading)]
    loads = of_type(events, ModelLoaded)
    assert swaps == [event.model for event in loads] == ["small", "large", "small"]
    assert len(outcomes_of(events, first)) == 50
    assert all(0 < event.seconds < 5 and event.window == 160 for event in loads)


async def test_a_changed_definition_reloads_the_model(bench: Bench, home: Path):
    await bench.register(simulated("small"))
    changed = simulated("small", max_num_seqs=8)
    async with living(bench, home) as life:
        await bench.outcomes(await bench.run_slice("small", 1), 1)
        await bench.register(changed)
        await life.until(lambda: life.runner.registry.find(changed.id) == changed)
        await bench.outcomes(await bench.run_slice("small", 1), 1)
        loads = of_type(await bench.events(), ModelLoaded)
    assert [event.window for event in loads] == [160, 40]


async def test_a_slice_to_fail_is_recorded_without_an_engine(bench: Bench, home: Path):
    async with living(bench, home):
        slice_id = await bench.fail_slice("missing", 3)
        outcomes = await bench.outcomes(slice_id, 3)
    assert [(outcome.line, outcome.custom_id) for outcome in outcomes] == [(1, "c1"), (2, "c2"), (3, "c3")]
    assert all(outcome.error and outcome.error.code is RequestFault.MODEL_UNAVAILABLE for outcome in outcomes)


async def test_a_recall_takes_running_and_waiting_lines_back_within_a_second(bench: Bench, home: Path):
    await bench.register(simulated("small", max_num_seqs=8, latency_seconds=20.0))
    async with living(bench, home) as life:
        recalled = await bench.run_slice("small", 100)
        waiting = await bench.run_slice("small", 10)
        kept = await bench.run_slice("small", 5, batch=OTHER_BATCH)
        await bench.loaded("small")
        await life.until(lambda: life.runner.feed.inside_count >= 40)
        await bench.recall(BATCH)
        returned = await bench.returned(recalled, seconds=1)
        assert (await bench.returned(waiting, seconds=1)).lines == tuple(range(1, 11))
        await life.until(lambda: life.runner.feed.inside_count == 5)
        assert life.runner.feed.model_wanted == "small" and kept
    assert returned.reason is ReturnReason.CANCELLED
    assert returned.lines == tuple(range(1, 101)) and returned.suspects == ()


async def test_a_hold_lets_what_is_inside_finish_and_the_next_batch_follows(bench: Bench, home: Path):
    await bench.register(simulated("small", max_num_seqs=8, latency_seconds=0.3))
    async with living(bench, home) as life:
        held = await bench.run_slice("small", 300)
        waiting = await bench.run_slice("small", 10)
        other = await bench.run_slice("small", 5, batch=OTHER_BATCH)
        await bench.outcomes(held, 1)
        await bench.hold(pause=7)
        returned = await bench.returned(held)
        assert (await bench.returned(waiting)).lines == tuple(range(1, 11))
        await bench.outcomes(other, 5)
        await life.until(lambda: life.runner.feed.slice_count == 0)
        answered = {outcome.line for outcome in await bench.outcomes(held, 300 - len(returned.lines))}
    assert returned.reason is ReturnReason.PREEMPTED
    assert answered | set(returned.lines) == set(range(1, 301)) and not answered & set(returned.lines)


async def test_a_held_slice_can_still_be_recalled(bench: Bench, home: Path):
    await bench.register(simulated("small", max_num_seqs=8, latency_seconds=60.0))
    async with living(bench, home) as life:
        slice_id = await bench.run_slice("small", 100)
        await life.until(lambda: life.runner.feed.inside_count == 40)
        await bench.hold(pause=7)
        first = await bench.returned(slice_id)
        await bench.recall(BATCH)
        both = await bench.wait(lambda seen: len(of_type(seen, SliceReturned)) == 2)
        await life.until(lambda: life.runner.feed.inside_count == 0)
    second = of_type(both, SliceReturned)[1]
    assert (first.reason, second.reason) == (ReturnReason.PREEMPTED, ReturnReason.CANCELLED)
    assert sorted(first.lines + second.lines) == list(range(1, 101))


async def test_a_recall_before_a_request_has_begun_leaves_no_hole_in_the_window(bench: Bench, home: Path):
    await bench.register(simulated("small", max_num_seqs=8, latency_seconds=20.0))
    async with living(bench, home) as life:
        for batch in (BATCH, OTHER_BATCH):
            recalled = await bench.run_slice("small", 100, batch=batch)
            await life.until(lambda: life.runner.feed.inside_count > 0)
            await bench.recall(batch)
            await bench.returned(recalled)
        await bench.run_slice("small", 100)
        await life.until(lambda: life.runner.feed.inside_count == 40)


async def test_a_hanging_request_times_out_alone(bench: Bench, home: Path):
    await bench.register(simulated("small"))
    async with living(bench, home, replace(LIMITS, request_seconds_max=0.5)):
        slice_id = await bench.run_slice("small", 5, steer={3: {"hang": True}})
        outcomes = {outcome.line: outcome for outcome in await bench.outcomes(slice_id, 5)}
    assert outcomes[3].error and outcomes[3].error.code is RequestFault.REQUEST_TIMEOUT
    assert {outcomes[line].status_code for line in (1, 2, 4, 5)} == {200}


async def test_a_crash_returns_the_lines_with_suspects_and_the_next_order_runs(bench: Bench, home: Path):
    await bench.register(simulated("small", max_num_seqs=8))
    steer = {line: {"hang": True} for line in range(1, 8)} | {8: {"crash": True}}
    async with living(bench, home):
        crashing = await bench.run_slice("small", 60, steer=steer)
        returned = await bench.returned(crashing)
        later = await bench.run_slice("small", 5)
        await bench.outcomes(later, 5)
        events = await bench.wait(lambda seen: bool(of_type(seen, EngineCrashed)))
    assert returned.reason is ReturnReason.ENGINE_DIED
    assert returned.suspects == tuple(range(1, 41)) and returned.lines == tuple(range(1, 61))
    crashed = of_type(events, EngineCrashed)
    assert [(event.suspect_count, "137" in event.detail) for event in crashed] == [(40, True)]
    assert outcomes_of(events, crashing) == []


async def test_a_stuck_engine_is_found_and_its_lines_returned(bench: Bench, home: Path):
    await bench.register(simulated("small"))
    async with living(bench, home, replace(LIMITS, stall_seconds_max=0.5)):
        slice_id = await bench.run_slice("small", 2, steer={1: {"hang": True}})
        returned = await bench.returned(slice_id)
    assert returned.lines == returned.suspects == (1,) and "stuck" in returned.detail


async def test_an_engine_that_does_not_come_up_returns_its_orders_with_its_last_words(bench: Bench, home: Path):
    definition = simulated("small", fail_to_start=True)
    await bench.register(definition, simulated("large"))
    async with living(bench, home):
        failing = await bench.run_slice("small", 5)
        running = await bench.run_slice("large", 5)
        returned = await bench.returned(failing)
        await bench.outcomes(running, 5)
        events = await bench.wait(lambda seen: bool(of_type(seen, ModelFailed)))
    assert returned.reason is ReturnReason.MODEL_FAILED and returned.lines == (1, 2, 3, 4, 5)
    assert "failing to start, as asked for" in of_type(events, ModelFailed)[0].detail


async def test_an_engine_that_takes_too_long_to_come_up_is_a_failed_model(bench: Bench, home: Path):
    await bench.register(simulated("small", startup_seconds=30.0))
    async with living(bench, home, replace(LIMITS, startup_seconds_max=0.5)):
        returned = await bench.returned(await bench.run_slice("small", 1))
    assert returned.reason is ReturnReason.MODEL_FAILED and "not ready within 0.5 s" in returned.detail


async def test_an_order_for_an_unknown_model_comes_back(bench: Bench, home: Path):
    async with living(bench, home):
        returned = await bench.returned(await bench.run_slice("nowhere", 2))
    assert returned.reason is ReturnReason.MODEL_FAILED and "not in the registry" in returned.detail


async def test_a_missing_input_comes_back(bench: Bench, home: Path):
    await bench.register(simulated("small"))
    async with living(bench, home):
        blobs, bench.blobs = bench.blobs, type(bench.blobs)(home / "elsewhere")
        slice_id = await bench.run_slice("small", 2)
        returned = await bench.returned(slice_id)
        bench.blobs = blobs
    assert returned.reason is ReturnReason.INPUT_UNREADABLE and returned.lines == (1, 2)


async def test_a_stop_returns_open_lines_and_says_goodbye(bench: Bench, home: Path):
    await bench.register(simulated("small", latency_seconds=30.0))
    async with living(bench, home) as life:
        slice_id = await bench.run_slice("small", 4, steer={1: {"latency_seconds": 0}})
        await bench.outcomes(slice_id, 1)
        life.stop.request("SIGTERM")
        async with asyncio.timeout(20):  # less than the engine would take
            await life.task
    events = await bench.wait(lambda seen: bool(of_type(seen, RunnerStopped)))
    returned = await bench.returned(slice_id)
    assert returned.reason is ReturnReason.STOPPING and returned.lines == (2, 3, 4)
    assert isinstance(events[-1], RunnerStopped)


async def test_a_stop_while_a_model_loads_does_not_wait_for_it(bench: Bench, home: Path):
    await bench.register(simulated("small", startup_seconds=30.0))
    async with living(bench, home) as life:
        slice_id = await bench.run_slice("small", 2)
        await bench.wait(lambda seen: bool(of_type(seen, ModelLoading)))
        life.stop.request("SIGTERM")
        async with asyncio.timeout(20):  # less than the engine would take
            await life.task
    assert (await bench.returned(slice_id)).lines == (1, 2)


async def test_an_unreadable_order_is_a_dead_letter_and_the_next_one_runs(bench: Bench, home: Path):
    await bench.register(simulated("small"))
    async with living(bench, home):
        await bench.journal.work.put(Message(subjects.work(RUNNER, bench.epoch), b"{}", "garbage"))
        await bench.outcomes(await bench.run_slice("small", 1), 1)
        letters = await bench.journal.dead.list()
    assert ["unreadable order" in letter.reason for letter in letters] == [True]


async def test_an_order_that_comes_twice_runs_once(bench: Bench, home: Path):
    await bench.register(simulated("small"))
    async with living(bench, home):
        first = await bench.run_slice("small", 3)
        await bench.outcomes(first, 3)
        work = bench.journal.work
        assert isinstance(work, MemoryWorkQueue)
        again = work.stream.records[-1]
        await work.put(Message(again.subject, again.body, "the same order under another id"))
        await bench.outcomes(await bench.run_slice("small", 1), 1)
        assert len(outcomes_of(await bench.events(), first)) == 3


async def test_orders_are_off_the_queue_when_their_lines_are_stored(bench: Bench, home: Path):
    await bench.register(simulated("small"))
    slices = 3 * ORDERS_MAX
    async with living(bench, home):
        for _ in range(slices):
            last = await bench.run_slice("small", 1)
        await bench.outcomes(last, 1)
