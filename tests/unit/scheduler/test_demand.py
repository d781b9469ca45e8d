"""Clients that wait for a model have it loaded, and batches keep most of the device all the same."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.support.scheduling import RUNNER, World, batch_id
from vbatch.contracts import events as e
from vbatch.contracts.ids import ModelId, RunnerId
from vbatch.contracts.models import EngineKind, ModelDefinition
from vbatch.scheduler.core.demand import (
    DemandRules,
    Demands,
    Waiting,
    due_load,
    free_in_seconds,
    has_batch_work,
    is_coming,
)
from vbatch.scheduler.core.forecast.forecast import explain
from vbatch.scheduler.core.policy.policy import stay_then_oldest
from vbatch.scheduler.flows.demanding import Demanding

SMALL, LARGE = ModelId("small"), ModelId("large")
RULES = DemandRules(swap_seconds_min=120.0, stay_seconds=30.0)


@pytest.fixture
def world() -> World:
    world = World()
    world.model("small")
    world.model("large")
    return world


def due(world: World, *models: ModelId) -> e.ModelDemanded | None:
    """The load that is due while clients wait for these models; it is folded."""
    waiting = {model: Waiting(world.now) for model in models}
    event = due_load(world.state, Demands(waiting, RULES), world.now)
    if event is not None:
        world.fold(event)
    return event


def loaded(world: World, model: ModelId, seconds: float = 5.0) -> None:
    epoch = world.state.runners[RUNNER].epoch
    world.fold(e.ModelLoaded(runner_id=RUNNER, epoch=epoch, model=model, seconds=seconds, window=160, at=world.now))


def crashed(world: World, model: ModelId) -> None:
    epoch = world.state.runners[RUNNER].epoch
    world.fold(
        e.EngineCrashed(runner_id=RUNNER, epoch=epoch, model=model, detail="gone", suspect_count=0, at=world.now)
    )


def test_a_model_that_clients_wait_for_is_loaded_on_an_empty_runner(world: World):
    world.runner()
    event = due(world, SMALL)
    assert event is not None
    assert (event.runner_id, event.model, event.stay_seconds) == (RUNNER, "small", 30.0)
    assert "clients have waited" in event.reason


def test_nothing_is_loaded_twice_while_it_is_on_its_way_or_there(world: World):
    world.runner()
    assert due(world, SMALL)
    assert due(world, SMALL) is None
    loaded(world, SMALL)
    world.now += timedelta(hours=1)
    assert due(world, SMALL) is None


def test_a_model_whose_engine_died_is_loaded_again(world: World):
    world.runner()
    due(world, SMALL)
    loaded(world, SMALL)
    crashed(world, SMALL)
    world.now += timedelta(minutes=10)
    assert due(world, SMALL)


def test_without_batches_a_model_gives_way_after_as_long_as_its_load_took(world: World):
    world.runner()
    due(world, SMALL)
    loaded(world, SMALL, seconds=5.0)
    world.now += timedelta(seconds=4)
    assert due(world, LARGE) is None
    world.now += timedelta(seconds=1)
    assert due(world, LARGE)


def test_clients_interrupt_batches_no_more_often_than_the_rule_says(world: World):
    world.runner()
    due(world, SMALL)
    loaded(world, SMALL)
    world.running("a", 1_000, "small")
    world.settle()
    world.now += timedelta(seconds=119)
    assert due(world, LARGE) is None
    left = free_in_seconds(world.state, LARGE, RULES, world.now)
    assert left is not None and left == pytest.approx(1.0)
    world.now += timedelta(seconds=1)
    event = due(world, LARGE)
    assert event is not None and "small gives way at the end of its slice" in event.reason


def test_a_batch_of_the_model_that_clients_wait_for_is_not_in_their_way(world: World):
    world.runner()
    due(world, SMALL)
    loaded(world, SMALL)
    world.running("a", 1_000, "large")
    world.now += timedelta(seconds=10)
    assert free_in_seconds(world.state, LARGE, RULES, world.now) == pytest.approx(-5.0)
    assert due(world, LARGE)


def test_batches_are_not_in_the_way_of_clients_while_all_work_is_paused(world: World):
    world.runner()
    due(world, SMALL)
    loaded(world, SMALL)
    world.fold(e.QueuePaused(by="local", reason="the device is needed", at=world.now))
    world.running("a", 1_000, "small")
    assert has_batch_work(world.state, world.state.runners[RUNNER]) is False
    world.fold(e.QueueResumed(by="local", at=world.now))
    assert has_batch_work(world.state, world.state.runners[RUNNER]) is True


def test_the_runner_that_holds_least_loads_it(world: World):
    world.runner()
    world.running("a", 1_000, "small")
    world.settle()
    world.runner(RunnerId("gpu1"))
    event = due(world, LARGE)
    assert event is not None and event.runner_id == "gpu1"


def test_a_model_that_just_failed_to_load_is_not_tried_for_clients(world: World):
    world.runner()
    due(world, SMALL)
    epoch = world.state.runners[RUNNER].epoch
    world.fold(e.ModelFailed(runner_id=RUNNER, epoch=epoch, model=SMALL, detail="no memory", at=world.now))
    assert due(world, SMALL) is None
    world.now += timedelta(seconds=6)
    assert due(world, SMALL)


def test_a_pinned_model_comes_back_when_the_device_is_free_and_only_then(world: World):
    world.fold(
        e.ModelRegistered(model=ModelDefinition(id=LARGE, engine=EngineKind.SIMULATED, pinned=True), at=world.now)
    )
    world.runner()
    batch = world.running("a", 10, "small")
    world.settle()
    assert due(world) is None
    world.cancel(batch)
    world.now += timedelta(seconds=11)
    (event,) = [event for event in world.settle() if isinstance(event, e.ModelDemanded)]
    assert (event.model, event.stay_seconds) == ("large", 0.0)
    loaded(world, LARGE)
    world.now += timedelta(hours=1)
    assert due(world) is None


def test_the_order_of_a_slice_comes_after_the_demand_so_the_policy_knows_of_the_load(world: World):
    world.runner()
    due(world, LARGE)
    assert world.state.runners[RUNNER].model == "large"
    assert is_coming(world.state, LARGE, world.now)


def test_a_demand_that_nobody_repeats_is_forgotten(world: World):
    woken: list[bool] = []
    demanding = Demanding(world.state, lambda: world.now, RULES, lambda: woken.append(True))
    world.runner()
    assert demanding.ask(SMALL).is_hopeless is False
    assert (woken, set(demanding.current().waiting)) == ([True], {"small"})
    world.now += timedelta(seconds=4)
    demanding.ask(SMALL)
    world.now += timedelta(seconds=4)
    assert set(demanding.current().waiting) == {"small"}
    world.now += timedelta(seconds=2)
    assert demanding.current().waiting == {}


def test_a_demand_is_forgotten_once_its_model_is_loaded(world: World):
    demanding = Demanding(world.state, lambda: world.now, RULES)
    world.runner()
    demanding.ask(SMALL)
    due(world, SMALL)
    loaded(world, SMALL)
    assert demanding.current().waiting == {}
    due(world, LARGE)
    loaded(world, LARGE)
    assert demanding.current().waiting == {}, "nobody waits for the first model any more"


def test_clients_are_told_why_they_wait(world: World):
    demanding = Demanding(world.state, lambda: world.now, RULES)
    assert demanding.ask(ModelId("absent")).is_hopeless
    assert demanding.ask(SMALL).message == "No gpu-runner is running."
    world.runner()
    assert demanding.ask(SMALL).message == "It is loaded next."
    due(world, SMALL)
    assert demanding.ask(SMALL).message == "It is being loaded."
    loaded(world, SMALL)
    world.running("a", 1_000, "small")
    world.settle()
    answer = demanding.ask(LARGE)
    assert "may be loaded in 2 min" in answer.message
    assert answer.earliest_seconds == pytest.approx(120.0)


def test_a_batch_that_waits_is_told_of_the_clients_before_it(world: World):
    world.runner()
    world.running("a", 1_000, "small")
    world.settle()
    world.running("b", 1_000, "small")
    due(world, LARGE)
    told = explain(world.state, stay_then_oldest, batch_id("b"), world.now)
    assert told is not None and "clients wait for large, which gpu0 loads first" in told.batch.waits_for
    loaded(world, LARGE)
    told = explain(world.state, stay_then_oldest, batch_id("b"), world.now)
    assert told is not None and "clients use large, which stays on gpu0 for 30 s" in told.batch.waits_for


def test_a_load_that_is_under_way_is_not_replaced_by_another(world: World):
    world.runner()
    due(world, SMALL)
    assert due(world, LARGE) is None
    demanding = Demanding(world.state, lambda: world.now, RULES)
    assert demanding.ask(LARGE).earliest_seconds < 60.0


def test_a_model_that_left_for_slices_that_were_sent_before_it_is_loaded_again_for_clients(world: World):
    world.runner()
    world.running("a", 1_000, "small")
    world.settle()
    loaded(world, SMALL)
    due(world, LARGE)
    loaded(world, LARGE)
    world.now += timedelta(seconds=60)
    loaded(world, SMALL)
    assert world.state.runners[RUNNER].model == "small"
    world.now += timedelta(seconds=300)
    assert due(world, LARGE)
