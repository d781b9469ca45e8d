"""Several devices on one log: who loads what, when a batch is spread, and where a model goes that one cannot load."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings, strategies as st

from benchmarks.policy_study.service import Engine, Load, Service
from tests.support.scheduling import World, batch_id
from vbatch.contracts import events as e
from vbatch.contracts.failures import RequestFault, ReturnReason
from vbatch.contracts.ids import ModelId, RunnerId
from vbatch.scheduler.core.forecast.forecast import explain, queue
from vbatch.scheduler.core.policy.density import DensityPolicy
from vbatch.scheduler.core.state.load_failures import FAILURES_MAX

FIRST, SECOND = RunnerId("gpu0"), RunnerId("gpu1")
SMALL, LARGE = ModelId("small"), ModelId("large")
DAY = 24 * 3600.0
LOAD_SECONDS = 48.0


def served(loads: list[Load], runners: int = 2) -> Service:
    """The service's decisions on so many simulated devices, to the end."""
    engine = Engine(units_a_second=1_000.0, load_seconds=LOAD_SECONDS)
    service = Service(DensityPolicy(), {SMALL: engine, LARGE: engine}, runners=runners)
    service.run(loads)
    return service


def load(name: str, requests: int, model: ModelId = SMALL, *, arrived: float = 0.0) -> Load:
    return Load(batch_id(name), model, arrived, arrived + DAY, [200] * requests)


def test_a_long_batch_is_spread_and_ends_in_little_more_than_half_the_time():
    alone, together = (served([load("long", 5_000)], runners).ended[batch_id("long")] for runners in (1, 2))
    assert together == pytest.approx(alone / 2 + LOAD_SECONDS / 2, rel=0.05)


def test_a_runner_does_not_load_what_another_will_have_done_before_it_could_begin():
    at_once = [load(f"short{number}", 10) for number in range(5)]
    assert served(at_once).loads == [(FIRST, SMALL)]


def test_short_batches_that_keep_coming_stay_on_the_runner_that_holds_their_model():
    coming = [load(f"b{number}", 50, arrived=60.0 * number) for number in range(20)]
    assert served(coming).loads == [(FIRST, SMALL)]


def test_each_of_two_models_has_a_runner():
    coming = [load(f"b{number}", 100, (SMALL, LARGE)[number % 2], arrived=100.0 * number) for number in range(12)]
    assert sorted(served(coming).loads) == [(FIRST, SMALL), (SECOND, LARGE)]


def two_runners() -> World:
    world = World(DensityPolicy())
    world.runner(FIRST)
    world.runner(SECOND)
    return world


@pytest.fixture
def world() -> World:
    return two_runners()


def fail_to_load(world: World, sent: e.BatchDispatched) -> None:
    """As its runner tells it: all it holds of the model comes back."""
    failed = e.ModelFailed(
        runner_id=sent.runner_id, epoch=sent.epoch, model=sent.model, detail="too small", at=world.now
    )
    world.fold(failed)
    for slice_ in world.state.slices_of(sent.runner_id):
        world.give_back(slice_.event.slice_id, ReturnReason.MODEL_FAILED)


def dispatched(world: World) -> list[e.BatchDispatched]:
    return [event for event in world.settle() if isinstance(event, e.BatchDispatched)]


def test_a_model_that_one_runner_cannot_load_goes_to_the_other_at_once_and_stays_there(world: World):
    world.running("a", 3)
    (sent,) = dispatched(world)
    fail_to_load(world, sent)
    (again,) = dispatched(world)
    assert {sent.runner_id, again.runner_id} == {FIRST, SECOND}
    world.finish(again.slice_id)
    for number in range(20):
        world.later(timedelta(seconds=10))
        world.running(f"b{number}", 600)
        for slice_ in dispatched(world):
            assert slice_.runner_id == again.runner_id
            world.finish(slice_.slice_id)


def test_a_runner_that_could_not_load_a_model_is_asked_again_ever_more_seldom(world: World):
    world.running("a", 100_000)
    tries = []
    for second in range(0, 7_200, 30):
        if to_first := [slice_ for slice_ in dispatched(world) if slice_.runner_id == FIRST]:
            tries.append(second)
            fail_to_load(world, to_first[0])
        world.later(timedelta(seconds=30))
    assert tries == [0, 300, 900, 1_800, 3_000, 4_500, 6_300]


def test_requests_fail_only_when_no_runner_can_load_their_model(world: World):
    world.running("a", 3)
    for _ in range(2 * FAILURES_MAX):
        for slice_ in dispatched(world):
            assert slice_.fault is None
            fail_to_load(world, slice_)
        world.later(timedelta(minutes=1))
    (sent,) = dispatched(world)
    assert sent.fault is not None and sent.fault.code is RequestFault.MODEL_UNAVAILABLE


def test_when_the_runner_that_could_is_gone_the_other_is_asked_again(world: World):
    world.running("a", 3)
    (sent,) = dispatched(world)
    fail_to_load(world, sent)
    other = SECOND if sent.runner_id == FIRST else FIRST
    world.fold(
        e.RunnerStopped(runner_id=other, epoch=world.state.runners[other].epoch, reason="asked to", at=world.now)
    )
    world.later(timedelta(seconds=10))
    (again,) = dispatched(world)
    assert (again.runner_id, again.fault) == (sent.runner_id, None)


def test_a_runner_that_begins_anew_is_asked_again_for_what_it_could_not_load(world: World):
    world.running("a", 3)
    (sent,) = dispatched(world)
    fail_to_load(world, sent)
    world.runner(sent.runner_id)
    assert world.state.troubles == {}


def test_a_batch_that_the_first_runner_cannot_serve_is_foretold_on_the_second(world: World):
    world.running("busy", 2_000, "large")
    world.settle()
    world.fold(e.ModelFailed(runner_id=FIRST, epoch=1, model=SMALL, detail="too small", at=world.now))
    world.running("a", 3_000)
    told = explain(world.state, world.policy, batch_id("a"), world.now)
    assert told is not None and told.batch.ends_at is not None


def test_two_runners_are_foretold_to_be_done_in_about_half_the_time():
    ends = []
    for runners in ((FIRST,), (FIRST, SECOND)):
        world = World(DensityPolicy())
        for other in runners:
            world.runner(other)
        for number in range(8):
            world.running(f"b{number}", 3_000, ("small", "large")[number % 2])
        last = max(entry.ends_at for entry in queue(world.state, world.policy, world.now) if entry.ends_at)
        ends.append((last - world.now).total_seconds())
    assert ends[1] == pytest.approx(ends[0] / 2, rel=0.15)


BATCHES = st.lists(st.tuples(st.integers(1, 700), st.sampled_from(["small", "large", "other"])), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(batches=BATCHES, fates=st.lists(st.sampled_from(["finish", "part", "fail", "lose"]), max_size=30))
def test_whatever_fails_to_load_or_is_lost_every_batch_ends(batches: list[tuple[int, str]], fates: list[str]):
    world, script = two_runners(), iter(fates)
    for number, (count, model) in enumerate(batches):
        world.running(str(number), count, model)
    for _ in range(200):
        world.settle()
        if not world.state.batches:
            return
        for slice_ in list(world.state.slices.values())[:1]:
            befall(world, slice_.event, next(script, "finish"))
        world.later(timedelta(seconds=30))
    pytest.fail("some batch waits for ever")


def befall(world: World, sent: e.BatchDispatched, fate: str) -> None:
    lines = tuple(world.state.slices[sent.slice_id].lines)
    match fate:
        case "part":
            world.finish(sent.slice_id, lines=lines[: len(lines) // 2])
        case "fail" if sent.fault is None:
            fail_to_load(world, sent)
        case "lose":
            world.runner(sent.runner_id)
        case _:
            world.finish(sent.slice_id, lines=lines)
