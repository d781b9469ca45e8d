"""What another priority would change is told by the same forecast; and what each device is expected to do."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.support.scheduling import World, batch_id
from vbatch.contracts.forecast import Forecast, ForecastEntry
from vbatch.scheduler.core.forecast.forecast import PriorityTried, whole_forecast
from vbatch.scheduler.core.policy.density import DensityPolicy


@pytest.fixture
def world() -> World:
    """One device, a long batch and a short one behind it."""
    world = World(DensityPolicy())
    world.model("small")
    world.runner()
    world.running("long", 20_000)
    world.running("longer", 60_000)
    return world


def told(world: World, tried: PriorityTried | None = None) -> Forecast:
    return whole_forecast(world.state, world.policy, world.now, tried=tried)


def entry(forecast: Forecast, name: str) -> ForecastEntry:
    return next(each for each in forecast.batches if each.batch_id == batch_id(name))


def test_a_higher_priority_would_end_a_batch_sooner_and_the_others_later(world: World):
    now, then = told(world), told(world, PriorityTried(batch_id("longer"), 100))
    sooner, later = entry(then, "longer"), entry(then, "long")
    assert sooner.ends_at is not None and later.ends_at is not None
    assert sooner.ends_at < (entry(now, "longer").ends_at or world.now)
    assert later.ends_at > (entry(now, "long").ends_at or world.now)
    assert sooner.priority == 100 and later.priority == 0


def test_trying_changes_nothing(world: World):
    before = told(world)
    told(world, PriorityTried(batch_id("longer"), 100))
    assert told(world) == before


def test_to_try_the_priority_it_has_gives_the_forecast_there_is(world: World):
    assert told(world, PriorityTried(batch_id("longer"), 0)).batches == told(world).batches


def test_a_device_has_its_models_one_after_the_other_with_the_loads_between(world: World):
    world.model("other")
    world.running("elsewhere", 30_000, model="other")
    [device] = told(world).devices
    assert {stay.model for stay in device.stays} == {"small", "other"}
    for before, after in zip(device.stays, device.stays[1:], strict=False):
        assert before.loads_at <= before.starts_at < before.ends_at
        assert abs(after.loads_at - before.ends_at) <= timedelta(seconds=1)
        assert after.model != before.model and after.starts_at > after.loads_at
    last = max(told(world).batches, key=lambda each: each.ends_at or world.now)
    assert last.ends_at_earliest is not None and last.ends_at_latest is not None
    assert last.ends_at_earliest <= device.stays[-1].ends_at <= last.ends_at_latest
