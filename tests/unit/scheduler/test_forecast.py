"""What a forecast tells beside times: places, pace, whether a window can be kept, what would help."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, strategies as st

from tests.support.events import NOON
from tests.support.scheduling import World, batch_id
from vbatch.contracts import events as e
from vbatch.contracts.forecast import ForecastEntry
from vbatch.scheduler.core.forecast.admission import admission
from vbatch.scheduler.core.forecast.forecast import explain, queue
from vbatch.scheduler.core.policy.density import DensityPolicy
from vbatch.scheduler.core.state.throughput import Throughput
from vbatch.scheduler.flows.forecasting import KEPT_SECONDS_MIN, Forecasting

HOUR = timedelta(hours=1)
DAY = 24 * HOUR


@pytest.fixture
def world() -> World:
    world = World(DensityPolicy())
    world.model("small")
    world.runner()
    return world


def entry_of(world: World) -> dict[str, ForecastEntry]:
    return {entry.batch_id.removeprefix("batch_"): entry for entry in queue(world.state, world.policy, world.now)}


def remedies(world: World, name: str) -> tuple[str, ...]:
    told = explain(world.state, world.policy, batch_id(name), world.now)
    assert told is not None
    return told.remedies


def test_the_running_batch_has_place_0_and_the_others_count_from_1_in_the_order_they_start(world: World):
    world.running("first", 1_000)
    world.settle()
    for name, count in (("long", 5_000), ("next", 30), ("paused", 20)):
        world.running(name, count)
    world.pause(batch_id("paused"))
    assert {name: it.position for name, it in entry_of(world).items()} == {
        "first": 0,
        "next": 1,
        "long": 2,
        "paused": None,
    }


def test_a_paused_batch_waits_for_its_owner_and_is_not_foretold(world: World):
    world.pause(world.running("a", 10))
    told = entry_of(world)["a"]
    assert (told.waits_for, told.ends_at, told.admission) == ("its owner to resume it", None, None)
    assert remedies(world, "a") == ("Resume it, so that it waits for its turn again.",)


def test_a_batch_that_cannot_keep_its_window_is_told_one_it_can(world: World):
    world.running("huge", 100_000, window=HOUR)
    told = entry_of(world)["huge"]
    assert told.admission is not None and told.ends_at_latest is not None
    assert not told.admission.feasible
    wanted = timedelta(hours=int((told.admission.earliest_completion_window or "")[:-1]))
    assert NOON + wanted >= told.ends_at_latest > NOON + wanted - HOUR
    assert "after its window" in remedies(world, "huge")[-1]


def test_a_batch_that_can_keep_its_window_is_admitted(world: World):
    world.running("small", 10)
    told = entry_of(world)["small"].admission
    assert told is not None and told.feasible and told.earliest_completion_window == "1h"


def test_what_would_take_more_than_a_week_has_no_window():
    told = admission(created=NOON, expires=NOON + DAY, likely_end=NOON + 8 * DAY, latest_end=NOON + 9 * DAY)
    assert (told.feasible, told.earliest_completion_window) == (False, None)


@given(likely=st.integers(1, 700_000), doubt=st.floats(0, 1))
def test_the_window_told_is_always_long_enough_and_never_an_hour_too_long(likely: int, doubt: float):
    end = NOON + timedelta(seconds=likely)
    latest = end + timedelta(seconds=likely * doubt)
    told = admission(created=NOON, expires=NOON + DAY, likely_end=end, latest_end=latest)
    assert told.feasible == (end <= NOON + DAY)
    if told.earliest_completion_window is not None:
        window = timedelta(hours=int(told.earliest_completion_window[:-1]))
        assert latest <= NOON + window and (window == HOUR or NOON + window - HOUR < latest)


def test_more_priority_is_a_remedy_for_a_batch_that_waits_for_others(world: World):
    for name in ("a", "b", "c", "d"):
        world.running(name, 3_000)
    world.running("last", 3_100)
    (told, *_) = remedies(world, "last")
    assert told.startswith("With priority 50 it would start in about ")


def test_more_priority_is_no_remedy_for_a_batch_alone(world: World):
    world.running("a", 3_000)
    (told,) = remedies(world, "a")
    assert told.startswith("A higher priority would not end it much sooner")


def test_a_batch_without_a_runner_is_helped_by_one():
    world = World(DensityPolicy())
    world.model("small")
    world.running("a", 10)
    assert remedies(world, "a") == ("Start a gpu-runner.",)


def test_a_pace_is_what_came_lately():
    throughput = Throughput()
    assert throughput.by(0.0) == 0.0
    throughput.begin(0.0)
    for second in range(1, 301):
        throughput.add(5, float(second))
    assert throughput.by(300.0) == pytest.approx(5.0, rel=0.02)
    assert throughput.by(600.0) < 0.05


def test_the_pace_of_a_batch_counts_its_answers(world: World):
    world.running("a", 1_000)
    sent = world.settle()[0]
    assert isinstance(sent, e.BatchDispatched)
    world.later(timedelta(seconds=10))
    world.finish(sent.slice_id, lines=tuple(range(1, 51)))
    assert entry_of(world)["a"].requests_per_second == pytest.approx(5.0, rel=0.1)


def test_a_forecast_is_kept_for_as_long_as_its_cost_wants(world: World):
    world.running("a", 10)
    ticks = iter([0.0, 0.1, 1.9, 2.1, 2.2])
    forecasting = Forecasting(world.state, world.policy, lambda: world.now, timer=lambda: next(ticks))
    first = forecasting.forecast()
    world.later(timedelta(seconds=5))
    assert forecasting.forecast() is first, "it took 0.1 s, so it is kept for 2 s"
    assert forecasting.forecast().at == world.now
    assert KEPT_SECONDS_MIN < 2.0


def test_a_guess_alone_warns_nobody_of_a_window(world: World):
    world.running("new", 20_000, window=HOUR)
    told = entry_of(world)["new"]
    assert told.is_guess and told.ends_at is not None and told.ends_at > NOON + HOUR
    assert told.admission is not None and told.admission.feasible
