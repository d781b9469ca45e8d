"""The lines that stand for a file, and when its work would end behind today's queue."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, strategies as st

from tests.support.scheduling import RUNNER, World
from vbatch.contracts.ids import ModelId
from vbatch.contracts.orders import RequestRef
from vbatch.scheduler.core.forecast.estimate import Work, estimate
from vbatch.scheduler.core.planning.plan import Plan
from vbatch.scheduler.core.sampling import sampled_lines, tried_lines
from vbatch.scheduler.core.state.cost_model import ModelSpeed

SMALL = ModelId("small")


def plan_of(*lengths: int) -> Plan:
    plan = Plan(SMALL)
    for line, length in enumerate(lengths, 1):
        plan.add(RequestRef(line, line * 1_000, length))
    return plan


def test_the_first_a_middle_and_the_longest_line_are_tried():
    found = tried_lines(plan_of(5, 1, 1, 1, 1, 1, 1, 9, 1), 3)
    assert [(placed.line, placed.length) for placed in found] == [(1, 5), (4, 1), (8, 9)]
    assert found[0].offset == 1_000


@given(st.lists(st.integers(1, 100), min_size=1, max_size=60), st.integers(1, 16))
def test_so_many_lines_are_tried_as_were_asked_for_and_each_once(lengths: list[int], count: int):
    lines = [placed.line for placed in tried_lines(plan_of(*lengths), count)]
    assert len(lines) == len(set(lines)) <= count
    assert lines[0] == 1 and lines == sorted(lines)
    if count >= 2:
        longest = max(range(len(lengths)), key=lengths.__getitem__) + 1
        assert longest in lines


def test_a_sample_is_spread_over_the_whole_file():
    assert [placed.line for placed in sampled_lines(plan_of(*[1] * 8), 4)] == [2, 4, 6, 8]
    assert len(sampled_lines(plan_of(1, 2, 3), 32)) == 3


@pytest.fixture
def world() -> World:
    world = World()
    world.model("small")
    world.runner()
    world.state.costs.speeds[SMALL] = ModelSpeed(
        units=1_000_000.0, requests=5_000.0, output_tokens=50_000.0, seconds=100.0
    )
    world.state.costs.swap_seconds[SMALL] = 20.0
    return world


def test_work_follows_from_tokens_and_the_measured_speed(world: World):
    found = estimate(world.state, world.policy, Work(SMALL, 1_000, 84_000, 450_000, 86_400), world.now)
    assert found.work_seconds == pytest.approx(100.0)
    assert (found.is_guess, found.output_tokens_a_request) == (False, 10.0)
    assert found.ends_at == world.now + timedelta(seconds=120)
    assert found.ends_at_earliest is not None and found.ends_at_latest is not None
    assert found.ends_at_earliest < found.ends_at < found.ends_at_latest


def test_the_queue_of_today_comes_first(world: World):
    alone = estimate(world.state, world.policy, Work(SMALL, 1_000, 84_000, 450_000, 86_400), world.now)
    world.running("a", 5_000)
    behind = estimate(world.state, world.policy, Work(SMALL, 1_000, 84_000, 450_000, 86_400), world.now)
    assert alone.ends_at is not None and behind.ends_at is not None
    assert behind.ends_at > alone.ends_at
    assert behind.work_seconds == alone.work_seconds
    assert "batch_of_a_dry_run" not in world.state.batches


def test_without_a_runner_there_is_work_and_no_end(world: World):
    world.state.runners.pop(RUNNER)
    found = estimate(world.state, world.policy, Work(SMALL, 10, 100, 100, 86_400), world.now)
    assert (found.ends_at, found.starts_at) == (None, None)


def test_a_model_that_was_never_measured_is_a_guess(world: World):
    world.model("large")
    found = estimate(world.state, world.policy, Work(ModelId("large"), 10, 100, 100, 86_400), world.now)
    assert (found.is_guess, found.output_tokens_a_request) == (True, None)
