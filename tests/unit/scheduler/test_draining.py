"""A drained runner takes nothing new: the others do its work, and everybody is told when there is no other."""

from __future__ import annotations

import pytest

from tests.support.scheduling import RUNNER, World, batch_id
from vbatch.contracts import events as e
from vbatch.contracts.ids import ModelId, RunnerId
from vbatch.contracts.lane import DEMAND_SECONDS
from vbatch.scheduler.core.demand import DemandRules, Demands, Waiting, due_load
from vbatch.scheduler.core.forecast.forecast import explain, queue, whole_forecast
from vbatch.scheduler.core.policy.density import DensityPolicy
from vbatch.scheduler.flows.demanding import Demanding

OTHER = RunnerId("gpu1")


@pytest.fixture
def world() -> World:
    world = World(DensityPolicy())
    world.model("small")
    world.runner()
    return world


def drain(world: World, goal: e.DrainGoal = e.DrainGoal.KEEP, runner_id: RunnerId = RUNNER) -> None:
    world.fold(e.RunnerDrainRequested(runner_id=runner_id, goal=goal, by="local", at=world.now))


def resume(world: World, runner_id: RunnerId = RUNNER) -> None:
    world.fold(e.RunnerResumed(runner_id=runner_id, by="local", at=world.now))


def runners_of(events: list[e.AnyEvent]) -> set[RunnerId]:
    return {event.runner_id for event in events if isinstance(event, e.BatchDispatched)}


@pytest.mark.parametrize("goal", e.DrainGoal)
def test_a_drained_runner_gets_nothing_until_it_is_resumed(world: World, goal: e.DrainGoal):
    drain(world, goal)
    world.running("a", 10)
    assert world.settle() == []
    resume(world)
    assert runners_of(world.settle()) == {RUNNER}


def test_another_runner_does_the_work(world: World):
    world.runner(OTHER)
    drain(world)
    world.running("a", 2_000)
    assert runners_of(world.settle()) == {OTHER}


def test_an_idle_runner_that_is_drained_does_not_hide_one_that_is_like_it(world: World):
    world.runner(OTHER)
    drain(world, runner_id=OTHER)
    world.running("a", 10)
    assert runners_of(world.settle()) == {RUNNER}


def test_a_model_on_a_drained_runner_keeps_no_batch_from_the_others(world: World):
    world.running("a", 10)
    (sent,) = world.settle()
    assert isinstance(sent, e.BatchDispatched)
    world.finish(sent.slice_id)
    world.settle()
    world.runner(OTHER)
    drain(world)
    world.running("b", 1)
    assert runners_of(world.settle()) == {OTHER}


def test_a_dispatch_decided_before_the_drain_was_read_is_void(world: World):
    world.running("a", 10)
    (decided,) = world.decide_only()
    drain(world)
    world.fold(decided)
    assert not world.state.slices


def test_what_the_runner_holds_still_ends_its_batch(world: World):
    world.running("a", 10)
    (sent,) = world.settle()
    assert isinstance(sent, e.BatchDispatched)
    drain(world)
    world.finish(sent.slice_id)
    assert any(isinstance(event, e.BatchFinalizing) for event in world.settle())


def test_a_drain_lasts_over_restarts_of_the_runner(world: World):
    drain(world)
    world.fold(e.RunnerStopped(runner_id=RUNNER, epoch=2, reason="asked to", at=world.now))
    world.runner()
    world.running("a", 10)
    assert world.settle() == []


def test_a_restart_ends_with_the_next_process(world: World):
    drain(world, e.DrainGoal.RESTART)
    world.running("a", 10)
    assert world.settle() == []
    world.runner()
    assert runners_of(world.settle()) == {RUNNER}


def test_everybody_is_told_why_and_what_helps(world: World):
    world.running("a", 10)
    drain(world)
    told = explain(world.state, world.policy, batch_id("a"), world.now)
    assert told is not None
    assert told.batch.waits_for == "a runner to be resumed: an administrator drained every one"
    assert told.remedies == ("Resume a runner: `vbatch runners resume RUNNER`.",)
    assert queue(world.state, world.policy, world.now)[0].ends_at is None


def test_the_forecast_plans_without_the_drained_runner(world: World):
    world.runner(OTHER)
    world.running("a", 10)
    drain(world)
    devices = {each.runner_id: each.stays for each in whole_forecast(world.state, world.policy, world.now).devices}
    assert devices[RUNNER] == () and [stay.model for stay in devices[OTHER]] == ["small"]


def test_no_model_is_loaded_there_for_clients_or_because_it_is_pinned(world: World):
    demanding = Demanding(world.state, lambda: world.now, DemandRules())
    drain(world)
    told = demanding.ask(ModelId("small"))
    assert (told.message, told.is_hopeless) == ("Every gpu-runner is drained.", False)
    assert told.retry_after_seconds < DEMAND_SECONDS * 10
    assert world.settle() == []


def loads_of(events: list[e.AnyEvent]) -> list[ModelId]:
    return [event.model for event in events if isinstance(event, e.ModelDemanded)]


def asked(world: World) -> list[e.AnyEvent]:
    """What the scheduler decides while a client waits for the model."""
    demands = Demands({ModelId("small"): Waiting(world.now)})
    found = due_load(world.state, demands, world.now)
    events: list[e.AnyEvent] = [] if found is None else [found]
    world.fold(*events)
    return events


def loaded(world: World) -> int:
    """Load the model that was ordered; return the runner's epoch."""
    epoch, small = world.state.runners[RUNNER].epoch, ModelId("small")
    world.fold(e.ModelLoaded(runner_id=RUNNER, epoch=epoch, model=small, seconds=1.0, window=8, at=world.now))
    return epoch


def test_a_model_that_was_unloaded_is_loaded_again_for_a_client(world: World):
    assert loads_of(asked(world)) == ["small"]
    epoch = loaded(world)
    assert asked(world) == []
    drain(world, e.DrainGoal.UNLOAD)
    world.fold(e.RunnerDrained(runner_id=RUNNER, epoch=epoch, goal=e.DrainGoal.UNLOAD, request=1, at=world.now))
    resume(world)
    assert loads_of(asked(world)) == ["small"]


def test_a_load_that_a_drain_cut_off_is_ordered_again(world: World):
    assert loads_of(asked(world)) == ["small"]
    drain(world)
    assert asked(world) == []
    resume(world)
    assert loads_of(asked(world)) == ["small"]


def test_a_drained_runner_that_keeps_its_model_still_has_it(world: World):
    asked(world)
    epoch = loaded(world)
    drain(world)
    world.fold(e.RunnerDrained(runner_id=RUNNER, epoch=epoch, goal=e.DrainGoal.KEEP, request=1, at=world.now))
    resume(world)
    assert asked(world) == []
