"""What forecasts know of the requests a runner holds, of work that will arrive, and how near to the truth they come."""

from __future__ import annotations

from statistics import fmean, median

import pytest

from benchmarks.policy_study.foretelling import ask
from tests.support.scheduling import RUNNER, World, batch_id
from vbatch.scheduler.core.forecast.forecast import queue
from vbatch.scheduler.core.policy.density import DensityPolicy
from vbatch.scheduler.core.policy.view import backlog, held_until
from vbatch.scheduler.core.state.arrivals import LOAD_MAX, Arrivals

HOUR = 3600.0


def regular(seconds: float, work: float, hours: float = 5.0) -> Arrivals:
    """A batch of so much work each so many seconds."""
    arrivals = Arrivals()
    for number in range(int(hours * HOUR / seconds)):
        arrivals.add(number * seconds, work)
    return arrivals


def test_only_shorter_work_that_arrives_can_overtake():
    arrivals = regular(600, 300)
    assert arrivals.load_of_shorter(1_000, 5 * HOUR) == pytest.approx(0.5)
    assert arrivals.load_of_shorter(200, 5 * HOUR) == 0.0


def test_a_burst_is_no_habit_and_half_an_hour_no_history():
    burst = Arrivals()
    for _ in range(100):
        burst.add(0.0, 500)
    assert burst.load_of_shorter(1e6, 4 * HOUR) == 0.0
    assert regular(60, 30, hours=0.5).load_of_shorter(1e6, 0.5 * HOUR) == 0.0


def test_a_device_that_is_overrun_is_still_foretold_an_end():
    assert regular(60, 600).load_of_shorter(1e6, 5 * HOUR) == LOAD_MAX


def test_a_batch_that_is_all_on_the_runner_does_not_wait_for_those_sent_after_it():
    world = World(DensityPolicy())
    world.model("small")
    world.running("short", 10)
    world.running("longer", 400)
    world.runner()
    world.settle()
    runner = world.state.runners[RUNNER]
    ends = held_until(world.state, runner, world.now)
    start = world.now.timestamp()
    assert ends[batch_id("longer")] == pytest.approx(start + backlog(world.state, runner))
    told = {entry.batch_id: entry.ends_at for entry in queue(world.state, world.policy, world.now)}
    short = told[batch_id("short")]
    assert short is not None
    assert short.timestamp() == pytest.approx(ends[batch_id("short")], abs=1)
    assert short.timestamp() < ends[batch_id("longer")]


def test_after_a_twentieth_of_a_batch_its_end_is_foretold_near_the_truth():
    told = ask("E tight windows", 48.0, 1)
    assert median(forecast.error for forecast in told) < 0.2
    assert fmean(forecast.holds for forecast in told) > 0.85
