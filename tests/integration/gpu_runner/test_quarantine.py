"""An answer that the log refuses, and a request that ends the runner: each fails its own line."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tests.integration.gpu_runner.conftest import LIMITS, RUNNER, Bench, Life, living, of_type, simulated
from tests.simulation.patching import replaced
from vbatch.chassis.blobs.local import LocalBlobs
from vbatch.contracts.events import Outcome, RunnerLeased
from vbatch.contracts.failures import RequestFault
from vbatch.gpu_runner.core.feed import Request
from vbatch.gpu_runner.core.limits import Limits
from vbatch.gpu_runner.core.metrics import RunnerMetrics
from vbatch.gpu_runner.flows import asking, engine_session
from vbatch.gpu_runner.ports import Engine, Gate
from vbatch.journal.memory import MemoryJournal
from vbatch.journal.quarantine import ENDS_MAX, ForgottenNotes
from vbatch.journal.settings import JournalSettings

MESSAGE_BYTES_MAX = 100_000
BACK_SECONDS_MAX = 20.0


class Poison(Exception):
    """What no one foresaw."""


async def test_an_answer_that_the_log_refuses_fails_its_line_and_no_other(home: Path):
    settings = JournalSettings("memory://", "test", work_in_flight_max=16, message_bytes_max=MESSAGE_BYTES_MAX)
    journal = MemoryJournal(settings, lambda: datetime.now(UTC))
    bench = Bench(journal, LocalBlobs(home / "blobs"))
    await bench.register(simulated("small"))
    async with living(bench, home):
        slice_id = await bench.run_slice("small", 20, steer={7: {"answer_bytes": 2 * MESSAGE_BYTES_MAX}})
        outcomes = await bench.outcomes(slice_id, 20)
        after = await bench.outcomes(await bench.run_slice("small", 3), 3)
    assert sorted(outcome.line for outcome in outcomes) == list(range(1, 21))
    assert {outcome.line for outcome in outcomes if outcome.error} == {7}
    [failed] = [outcome for outcome in outcomes if outcome.error]
    assert failed.error is not None and failed.error.code is RequestFault.UNREADABLE_ANSWER
    assert len(after) == 3
    [letter] = await journal.dead.list()
    assert letter.reason.startswith("refused: ")


async def test_a_request_that_ends_the_runner_three_times_fails_alone(bench: Bench, home: Path):
    notes = ForgottenNotes()
    await bench.register(simulated("small"))

    async def ask(engine: Engine, request: Request, limits: Limits, metrics: RunnerMetrics, gate: Gate) -> Outcome:
        if request.custom_id == "c2":
            raise Poison("no rule for this")
        return await asked(engine, request, limits, metrics, gate)

    asked = asking.outcome_from
    with replaced(engine_session, "outcome_from", ask):
        for number in range(1, ENDS_MAX + 1):
            async with living(bench, home, notes=notes) as life:
                await leased(bench, number)
                await bench.run_slice("small", 3)
                await ended(life)
        async with living(bench, home, notes=notes):
            await leased(bench, ENDS_MAX + 1)
            outcomes = await bench.outcomes(await bench.run_slice("small", 3), 3)
    failed = [outcome for outcome in outcomes if outcome.error]
    assert [outcome.custom_id for outcome in failed] == ["c2"]
    assert failed[0].error is not None and "no rule for this" in failed[0].error.message


async def test_an_engine_that_asks_for_an_impossible_pause_is_taken_at_no_word(bench: Bench, home: Path):
    await bench.register(simulated("small"))
    steer = {1: {"busy_count": 1, "retry_after": "1 Jan 99999999999999 1:1:1 GMT"}}
    async with living(bench, home, replace(LIMITS, busy_pause_seconds=0.01)):
        [outcome] = await bench.outcomes(await bench.run_slice("small", 1, steer=steer), 1)
    assert outcome.status_code == 200


async def leased(bench: Bench, lives: int) -> None:
    """The newest of so many lives of the runner takes orders."""
    await bench.wait(lambda seen: len(of_type(seen, RunnerLeased)) == lives)
    lease = await bench.journal.log.last(f"evt.runner.{RUNNER}.lease")
    assert lease is not None
    bench.epoch = lease.sequence


async def ended(life: Life) -> None:
    async with asyncio.timeout(BACK_SECONDS_MAX):
        await asyncio.wait([life.task])
    error = life.task.exception()
    assert isinstance(error, BaseExceptionGroup) and error.subgroup(Poison)
