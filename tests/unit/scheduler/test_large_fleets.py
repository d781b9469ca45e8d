"""A decision for hundreds of runners costs little more than one for a few: equal idle runners are offered work once,
and the slices of a runner are found without looking at those of all others."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given, settings, strategies as st

from tests.support.events import NOON
from tests.support.scheduling import World, batch_id
from vbatch.contracts import events as e
from vbatch.contracts.ids import ModelId, RunnerId, SliceId
from vbatch.scheduler.core.policy.density import DensityPolicy
from vbatch.scheduler.core.policy.policy import Choice, View
from vbatch.scheduler.core.state.slices import Slice, Slices

RUNNERS = 200
REQUESTS = 300
"""Two slices, which fill a runner."""


class CountingPolicy:
    """The policy of the service, and how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self._policy = DensityPolicy()

    def __call__(self, view: View) -> Choice | None:
        self.asked += 1
        return self._policy(view)


def loaded(world: World, runner_id: RunnerId, model: ModelId, window: int) -> e.ModelLoaded:
    """A load that took ten minutes, so that hardly any work is worth another."""
    epoch = world.state.runners[runner_id].epoch
    return e.ModelLoaded(runner_id=runner_id, epoch=epoch, model=model, seconds=600.0, window=window, at=world.now)


def one_at_work_and_many_idle() -> tuple[World, CountingPolicy]:
    """One runner is full, and the batch that waits will be answered there before another could load its model."""
    policy = CountingPolicy()
    world = World(policy)
    world.runner(RunnerId("first"))
    world.fold(loaded(world, RunnerId("first"), ModelId("small"), window=128))
    world.running("a", REQUESTS)
    assert len(world.settle()) == 2
    world.running("short", 3)
    for number in range(RUNNERS):
        world.runner(RunnerId(f"gpu{number}"))
    policy.asked = 0
    return world, policy


def test_idle_runners_that_are_equal_are_asked_once():
    world, policy = one_at_work_and_many_idle()
    assert (world.decide(), policy.asked) == ([], 1)


def test_where_nothing_waits_no_runner_is_asked():
    world, policy = one_at_work_and_many_idle()
    world.cancel(batch_id("short"))
    world.settle()
    assert policy.asked == 0


def test_a_runner_with_another_concurrency_is_asked_for_itself():
    world, policy = one_at_work_and_many_idle()
    runner = world.state.runners[RunnerId("gpu7")]
    world.fold(loaded(world, runner.runner_id, ModelId("other"), window=32))
    world.decide()
    assert policy.asked == 2


def test_a_runner_that_could_not_load_a_model_is_asked_for_itself():
    world, policy = one_at_work_and_many_idle()
    runner = world.state.runners[RunnerId("gpu7")]
    failed = e.ModelFailed(
        runner_id=runner.runner_id, epoch=runner.epoch, model=ModelId("other"), detail="too small", at=world.now
    )
    world.fold(failed)
    world.decide()
    assert policy.asked == 2


def test_idle_runners_that_were_passed_over_get_work_when_it_is_worth_a_load():
    world, _ = one_at_work_and_many_idle()
    world.decide()
    world.later(timedelta(seconds=1))
    world.running("b", 3, "other")
    [sent] = world.decide()
    assert isinstance(sent, e.BatchDispatched) and sent.batch_id == batch_id("b")


def sent(number: int, runner: int, batch: int) -> Slice:
    event = e.BatchDispatched(
        batch_id=batch_id(str(batch)),
        slice_id=SliceId(f"s-{number}"),
        runner_id=RunnerId(f"gpu{runner}"),
        epoch=1,
        model=ModelId("small"),
        lines=(1,),
        attempt=1,
        reason="",
        at=NOON,
    )
    return Slice(event, {})


few = st.integers(0, 3)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9), few, few), max_size=40))
def test_the_indexes_agree_with_a_look_at_all_slices(steps: list[tuple[bool, int, int, int]]):
    slices, plain = Slices(), dict[SliceId, Slice]()
    for is_added, number, runner, batch in steps:
        slice_id = SliceId(f"s-{number}")
        plain.pop(slice_id, None)
        slices.pop(slice_id, None)
        if is_added:
            plain[slice_id] = slices[slice_id] = sent(number, runner, batch)
    assert slices == plain
    for number in range(4):
        runner_id, of_batch = RunnerId(f"gpu{number}"), batch_id(str(number))
        assert slices.of_runner(runner_id) == [each for each in plain.values() if each.event.runner_id == runner_id]
        assert slices.of_batch(of_batch) == [each for each in plain.values() if each.event.batch_id == of_batch]
