"""Given what happened, this happens next."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings, strategies as st

from tests.support.scheduling import RUNNER, World, batch_id, plan_of
from vbatch.contracts import events as e
from vbatch.contracts.failures import FileFault, RequestFault, ReturnReason
from vbatch.contracts.ids import FileId, ModelId, OwnerId, RunnerId
from vbatch.contracts.orders import FailSlice, RunSlice
from vbatch.scheduler.core.decide import CANCEL_GRACE, SHORT_SLICES_MAX, work_order_for
from vbatch.scheduler.core.state.bisection import DEATHS_MAX
from vbatch.scheduler.core.state.cost_model import ModelSpeed
from vbatch.scheduler.core.state.load_failures import FAILURES_MAX, FORGIVEN_AFTER

OTHER_RUNNER = RunnerId("gpu1")


@pytest.fixture
def world() -> World:
    world = World()
    world.model("small")
    world.model("large")
    return world


def dispatched(events: list[e.AnyEvent]) -> list[e.BatchDispatched]:
    return [event for event in events if isinstance(event, e.BatchDispatched)]


def only(events: list[e.AnyEvent]) -> e.AnyEvent:
    (event,) = events
    return event


def test_a_file_found_fit_is_validated_with_its_totals(world: World):
    batch = world.created("a")
    world.plan_results[batch] = plan_of(3)
    event = only(world.settle())
    assert isinstance(event, e.BatchValidated)
    assert (event.total, event.last_line, event.models[0].model) == (3, 3, "small")


def test_a_file_found_unfit_rejects_the_batch_and_leaves_nothing(world: World):
    batch = world.created("a")
    fault = e.BatchFault(code=FileFault.INVALID_JSON_LINE, message="Not JSON.", line=1)
    world.plan_results[batch] = (fault,)
    event = only(world.settle())
    assert isinstance(event, e.BatchRejected) and event.faults == (fault,)
    assert world.state.batches == {}


@pytest.mark.parametrize("case", ["unknown", "deleted", "expired", "of another owner"])
def test_an_input_file_that_cannot_be_had_fails_the_batch(world: World, case: str):
    file_id = FileId("file-nowhere") if case == "unknown" else world.file("x", OwnerId("eve"))
    if case == "deleted":
        file_id = world.file("y")
    if case == "expired":
        file_id = world.file("z", life=timedelta(hours=1))
        world.now += timedelta(hours=1)
    world.created("a", file_id=file_id)
    if case == "deleted":
        world.fold(e.FileDeleted(file_id=file_id, owner=OwnerId("local"), at=world.now))
    event = only(world.settle())
    assert isinstance(event, e.BatchRejected)
    assert (event.faults[0].code, event.faults[0].param) == (FileFault.INVALID_REQUEST, "file_id")


def test_nothing_runs_without_a_runner(world: World):
    world.running("a", 10)
    assert world.settle() == []


def test_a_lost_runner_gives_its_slices_to_another_unless_it_began_anew(world: World):
    world.running("a", 10)
    world.runner(RunnerId("gpu1"))
    sent = world.decide()[0]
    epoch = world.state.runners[RunnerId("gpu1")].epoch
    world.fold(e.RunnerLost(runner_id=RunnerId("gpu1"), epoch=epoch + 1, silent_seconds=60.0, at=world.now))
    assert len(world.state.slices) == 1
    world.fold(e.RunnerLost(runner_id=RunnerId("gpu1"), epoch=epoch, silent_seconds=60.0, at=world.now))
    assert world.state.slices == {}
    world.runner(RunnerId("gpu2"))
    (again,) = world.decide()
    assert isinstance(sent, e.BatchDispatched)
    assert isinstance(again, e.BatchDispatched)
    assert (again.runner_id, again.lines, again.attempt) == ("gpu2", sent.lines, 2)


def test_a_runner_is_given_two_slices_and_no_more(world: World):
    world.running("a", 2_000)
    world.runner()
    sent = dispatched(world.settle())
    assert [(slice_.lines[0], len(slice_.lines)) for slice_ in sent] == [(1, 256), (257, 256)]


def test_small_batches_fill_the_runner_together_up_to_one_full_slice_and_the_last(world: World):
    for number in range(200):
        world.running(f"b{number}", 10)
    world.runner()
    sent = dispatched(world.settle())
    assert sum(len(slice_.lines) for slice_ in sent) == 260
    assert len({slice_.batch_id for slice_ in sent}) == 26


def test_however_small_the_batches_a_runner_holds_so_many_slices_at_most(world: World):
    for number in range(SHORT_SLICES_MAX + 10):
        world.running(f"b{number}", 1)
    world.runner()
    assert len(dispatched(world.settle())) == SHORT_SLICES_MAX


def test_slices_of_a_fast_device_hold_a_tenth_of_a_second_of_its_work(world: World):
    world.running("a", 2_000)
    world.runner()
    world.state.costs.speeds[ModelId("small")] = ModelSpeed(units=1.0, requests=60_000.0, seconds=20.0)
    assert [len(slice_.lines) for slice_ in dispatched(world.settle())] == [300, 300]


def test_slices_follow_the_window_of_the_engine(world: World):
    world.running("a", 2_000)
    world.runner()
    loaded = e.ModelLoaded(runner_id=RUNNER, epoch=1, model=ModelId("small"), seconds=1.0, window=160, at=world.now)
    world.fold(loaded)
    assert {len(slice_.lines) for slice_ in dispatched(world.settle())} == {320}


def test_a_window_wider_than_two_slices_is_held_twice(world: World):
    world.running("a", 10_000)
    world.runner()
    loaded = e.ModelLoaded(runner_id=RUNNER, epoch=1, model=ModelId("small"), seconds=1.0, window=1_280, at=world.now)
    world.fold(loaded)
    assert sum(len(slice_.lines) for slice_ in dispatched(world.settle())) == 2_560


def test_the_loaded_model_keeps_the_device_while_it_has_work(world: World):
    world.running("first", 10, "large")
    world.runner()
    sent = dispatched(world.settle())[0]
    world.running("older", 10, "small")
    world.running("younger", 10, "large")
    world.finish(sent.slice_id)
    assert [slice_.batch_id for slice_ in dispatched(world.settle())] == [batch_id("younger"), batch_id("older")]


def test_a_dispatch_says_why(world: World):
    world.running("a", 10)
    world.running("b", 10)
    world.runner()
    assert dispatched(world.settle())[0].reason == "the oldest batch, and the device is empty; 1 other batch waits"


def test_a_batch_ends_when_every_line_has_an_outcome(world: World):
    world.running("a", 3)
    world.runner()
    sent = dispatched(world.settle())[0]
    world.finish(sent.slice_id, lines=(1, 2))
    assert world.settle() == []
    world.finish(sent.slice_id, status_code=400)
    event = only(world.settle())
    assert isinstance(event, e.BatchFinalizing)
    assert (event.ending, event.never_ran_count) == (e.Ending.COMPLETED, 0)


def test_a_lost_runner_gives_its_unfinished_lines_back_and_nothing_finished_runs_again(world: World):
    world.running("a", 5)
    world.runner()
    sent = dispatched(world.settle())[0]
    world.finish(sent.slice_id, lines=(1, 4))
    world.runner()
    again = dispatched(world.settle())[0]
    assert (again.lines, again.attempt, again.epoch > sent.epoch) == ((2, 3, 5), 2, True)


def test_a_dispatch_recorded_after_a_new_lease_of_its_runner_leaves_its_lines_waiting(world: World):
    world.runner()
    world.running("a", 3)
    late = dispatched(world.decide_only())[0]
    world.runner()
    world.fold(late)
    again = dispatched(world.decide())[0]
    assert again.lines == late.lines == (1, 2, 3)
    assert again.epoch > late.epoch


def test_a_dispatch_recorded_after_its_runner_stopped_leaves_its_lines_waiting(world: World):
    world.runner()
    world.running("a", 3)
    late = dispatched(world.decide_only())[0]
    world.fold(e.RunnerStopped(runner_id=RUNNER, epoch=late.epoch, reason="asked to", at=world.now), late)
    world.runner(OTHER_RUNNER)
    assert dispatched(world.decide())[0].lines == late.lines


def test_two_runners_share_the_lines_of_a_batch_and_none_goes_to_both(world: World):
    world.runner()
    world.runner(OTHER_RUNNER)
    world.running("a", 300)
    sent = dispatched(world.settle())
    lines = [line for event in sent for line in event.lines]
    assert sorted(lines) == list(range(1, 301))
    assert {event.runner_id for event in sent} == {RUNNER, OTHER_RUNNER}


def test_a_stopped_runner_is_given_nothing(world: World):
    world.running("a", 5)
    world.runner()
    world.settle()
    world.fold(e.RunnerStopped(runner_id=RUNNER, epoch=1, reason="asked to", at=world.now))
    assert world.settle() == []
    assert world.state.slices == {}


def test_a_cancelled_batch_waits_for_its_runner_and_then_ends(world: World):
    batch = world.running("a", 5)
    world.runner()
    sent = dispatched(world.settle())[0]
    world.cancel(batch)
    assert world.settle() == []
    world.give_back(sent.slice_id, ReturnReason.CANCELLED)
    event = only(world.settle())
    assert isinstance(event, e.BatchFinalizing)
    assert (event.ending, event.never_ran_count) == (e.Ending.CANCELLED, 5)


def test_a_cancel_ends_even_if_the_runner_never_answers(world: World):
    batch = world.running("a", 5)
    world.runner()
    world.settle()
    world.cancel(batch)
    world.later(CANCEL_GRACE)
    assert isinstance(only(world.settle()), e.BatchFinalizing)


def test_a_batch_cancelled_while_validating_ends_at_once(world: World):
    batch = world.created("a")
    world.cancel(batch)
    event = only(world.settle())
    assert isinstance(event, e.BatchFinalizing)
    assert (event.ending, event.never_ran_count) == (e.Ending.CANCELLED, 0)


def test_a_rejection_that_lost_the_race_against_a_cancel_still_ends_cancelled(world: World):
    batch = world.created("a")
    world.cancel(batch)
    world.fold(e.BatchRejected(batch_id=batch, faults=(), at=world.now))
    event = only(world.settle())
    assert isinstance(event, e.BatchFinalizing) and event.ending is e.Ending.CANCELLED


def test_a_batch_past_its_window_expires(world: World):
    world.running("a", 5, window=timedelta(hours=1))
    world.later(timedelta(hours=1))
    event = only(world.settle())
    assert isinstance(event, e.BatchFinalizing)
    assert (event.ending, event.never_ran_count) == (e.Ending.EXPIRED, 5)


def test_outcomes_after_the_end_of_counting_change_nothing(world: World):
    batch = world.running("a", 5)
    world.runner()
    sent = dispatched(world.settle())[0]
    world.cancel(batch)
    world.later(CANCEL_GRACE)
    world.settle()
    world.fold(world.chunk(sent, (1, 2, 3, 4, 5)))
    assert (world.settle(), world.state.batches, dict(world.state.slices)) == ([], {}, {})


def test_suspects_run_apart_from_the_rest_and_last(world: World):
    world.running("a", 300)
    world.runner()
    first, second = dispatched(world.settle())
    world.give_back(first.slice_id, ReturnReason.ENGINE_DIED, suspects=tuple(range(1, 41)))
    world.finish(second.slice_id)
    innocent = dispatched(world.settle())[0]
    assert innocent.lines == tuple(range(41, 257))
    world.finish(innocent.slice_id)
    apart = dispatched(world.settle())
    assert [slice_.lines for slice_ in apart] == [tuple(range(1, 33))]
    assert "suspects" in apart[0].reason


def test_one_poisonous_request_fails_alone(world: World):
    world.running("a", 200)
    world.runner()
    for _ in range(200):
        sent = dispatched(world.settle())
        for slice_ in sent:
            if slice_.slice_id not in world.state.slices:
                continue
            if slice_.fault is not None:
                assert (slice_.lines, slice_.fault.code) == ((77,), RequestFault.ENGINE_CRASHED)
                return
            if 77 in slice_.lines:
                world.give_back(slice_.slice_id, ReturnReason.ENGINE_DIED, suspects=slice_.lines)
            else:
                world.finish(slice_.slice_id)
    pytest.fail("the poisonous request was never found")


def test_a_request_is_given_up_only_after_three_deaths_alone(world: World):
    world.running("a", 1)
    world.runner()
    for deaths in range(DEATHS_MAX):
        sent = dispatched(world.settle())[0]
        assert sent.fault is None, deaths
        world.give_back(sent.slice_id, ReturnReason.ENGINE_DIED, suspects=(1,))
    assert dispatched(world.settle())[0].fault is not None


def model_failed(world: World) -> e.ModelFailed:
    return e.ModelFailed(runner_id=RUNNER, epoch=1, model=ModelId("small"), detail="out of memory", at=world.now)


def test_a_model_that_does_not_load_is_tried_again_and_then_its_requests_fail_with_its_words(world: World):
    world.running("a", 3)
    world.runner()
    for _ in range(FAILURES_MAX):
        sent = dispatched(world.settle())[0]
        assert sent.fault is None
        world.fold(model_failed(world))
        world.give_back(sent.slice_id, ReturnReason.MODEL_FAILED)
        assert world.settle() == [], "at least a pause"
        world.later(timedelta(minutes=1))
    fault = dispatched(world.settle())[0].fault
    assert fault is not None
    assert fault.code is RequestFault.MODEL_UNAVAILABLE and "out of memory" in fault.message


def test_a_model_given_up_long_ago_gets_another_try(world: World):
    world.runner()
    for _ in range(FAILURES_MAX):
        world.fold(model_failed(world))
    world.later(FORGIVEN_AFTER)
    world.running("a", 3)
    assert dispatched(world.settle())[0].fault is None


def test_another_models_work_goes_on_while_one_does_not_load(world: World):
    world.running("a", 3, "small")
    world.running("b", 3, "large")
    world.runner()
    world.fold(model_failed(world))
    assert [slice_.batch_id for slice_ in dispatched(world.settle())] == [batch_id("b")]


def test_an_order_says_where_each_owed_line_stands(world: World):
    world.running("a", 3)
    world.runner()
    sent = dispatched(world.settle())[0]
    world.finish(sent.slice_id, lines=(2,))
    order = work_order_for(world.state, world.state.slices[sent.slice_id])
    assert isinstance(order, RunSlice)
    assert [(ref.line, ref.offset) for ref in order.requests] == [(1, 100), (3, 300)]
    assert (order.blob, order.endpoint, order.epoch) == ("a", "/v1/chat/completions", sent.epoch)


def test_an_order_names_the_model_whose_work_waits_behind_it(world: World):
    world.running("a", 3, "small")
    world.running("b", 2_000, "large")
    world.running("c", 2_000, "larger")
    world.runner()
    sent = dispatched(world.settle())[0]
    order = work_order_for(world.state, world.state.slices[sent.slice_id])
    assert isinstance(order, RunSlice)
    assert (order.model, order.model_behind) == ("small", "large")


def test_with_work_for_one_model_alone_no_other_is_named(world: World):
    world.running("a", 3)
    world.running("b", 3)
    world.runner()
    sent = dispatched(world.settle())[0]
    order = work_order_for(world.state, world.state.slices[sent.slice_id])
    assert isinstance(order, RunSlice) and order.model_behind is None


def test_an_order_to_fail_says_so(world: World):
    world.running("a", 1)
    world.runner()
    for _ in range(DEATHS_MAX):
        world.give_back(dispatched(world.settle())[0].slice_id, ReturnReason.ENGINE_DIED, suspects=(1,))
    sent = dispatched(world.settle())[0]
    assert isinstance(work_order_for(world.state, world.state.slices[sent.slice_id]), FailSlice)


def test_deleting_the_input_of_a_running_batch_does_not_hurt_it(world: World):
    world.running("a", 3)
    world.fold(e.FileDeleted(file_id=FileId("file-a"), owner=OwnerId("local"), at=world.now))
    world.runner()
    sent = dispatched(world.settle())[0]
    assert work_order_for(world.state, world.state.slices[sent.slice_id]) is not None


class Fate:
    """Lets things befall the slices on the runner, and keeps count of the answers."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.answered: dict[tuple[str, int], int] = {}

    def befall(self, fate: str) -> None:
        it = next(iter(self.world.state.slices.values()))
        lines = tuple(it.lines)
        match fate:
            case "finish":
                self.answer(it.event, lines)
            case "part":
                self.answer(it.event, lines[: len(lines) // 2])
            case "die" if it.event.fault is None:
                self.world.give_back(it.event.slice_id, ReturnReason.ENGINE_DIED, suspects=lines[:3])
            case "refuse":
                self.world.give_back(it.event.slice_id, ReturnReason.PREEMPTED)
            case "lose":
                self.world.runner()

    def answer(self, sent: e.BatchDispatched, lines: tuple[int, ...]) -> None:
        for line in lines:
            self.answered[sent.batch_id, line] = self.answered.get((sent.batch_id, line), 0) + 1
        self.world.finish(sent.slice_id, lines=lines)


FATES = st.lists(st.sampled_from(["finish", "part", "die", "lose", "refuse"]), max_size=60)


@settings(max_examples=60, deadline=None)
@given(fates=FATES, sizes=st.lists(st.integers(1, 700), min_size=1, max_size=3))
def test_whatever_befalls_the_slices_every_line_is_answered_once(fates: list[str], sizes: list[int]):
    world = World()
    world.model("small")
    world.runner()
    for number, size in enumerate(sizes):
        world.running(str(number), size)
    fate, script, endings = Fate(world), iter(fates), []
    while (events := world.settle()) or world.state.slices:
        endings += [event.ending for event in events if isinstance(event, e.BatchFinalizing)]
        if world.state.slices:
            fate.befall(next(script, "finish"))
    assert set(fate.answered.values()) == {1}
    assert len(fate.answered) == sum(sizes)
    assert endings == [e.Ending.COMPLETED] * len(sizes)
