"""The concurrency that finds the capacity of a server, on servers in simulated time."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from tests.support.served import Served
from vbatch.gpu_runner.core.fleet.adaptive_concurrency import GROWTH_MAX, AdaptiveConcurrency, Phase

SECONDS = 60.0


@pytest.mark.parametrize("refuses", [False, True], ids=["queues", "refuses"])
@pytest.mark.parametrize("capacity", [16, 128, 600])
def test_a_capacity_that_nobody_told_is_found_and_used(capacity: int, refuses: bool):
    fixed = Served(lambda _now: capacity, refuses, size=capacity).answered_until(SECONDS)
    found = Served(lambda _now: capacity, refuses).answered_until(SECONDS)
    assert found >= 0.94 * fixed  # of a minute; `bench:fleet` measures it for longer


@pytest.mark.parametrize("refuses", [False, True], ids=["queues", "refuses"])
def test_a_capacity_that_grows_fourfold_is_found_again(refuses: bool):
    served = Served(lambda now: 64 if now < 60 else 256, refuses)
    served.answered_until(60.0)
    served.answered_until(75.0)
    assert served.answered_until(95.0) >= 0.9 * 256 * 20


def test_the_queue_in_a_server_does_not_grow_with_the_length_of_a_batch():
    served = Served(lambda _now: 100, start=48)
    sizes = []
    for minute in range(1, 21):
        served.answered_until(60.0 * minute)
        sizes.append(served.adaptive.size)
    assert max(sizes) <= 300


def test_a_runner_that_is_slower_than_its_server_keeps_its_size():
    """All that requests wait for is the runner, so that a smaller size would bring as much by Little's law."""
    adaptive, now = AdaptiveConcurrency(256), 0.0
    for _ in range(20_000):
        now += 0.0001
        adaptive.note_inside(adaptive.size)
        adaptive.answered(now - adaptive.size * 0.0001, now)
    assert adaptive.size >= 256


def test_a_server_that_becomes_slow_gets_less():
    served = Served(lambda now: 256 if now < 60 else 16)
    served.answered_until(60.0)
    before = served.adaptive.size
    served.answered_until(400.0)
    assert served.adaptive.size < before / 2


def test_a_refusing_server_refuses_few_once_its_capacity_is_known():
    served = Served(lambda _now: 128, refuses=True)
    served.answered_until(30.0)
    before = served.refused_count
    answered = served.answered_until(90.0)
    assert served.refused_count - before < 0.02 * answered


def test_a_refusal_decreases_the_size_once_for_all_that_were_sent_together():
    adaptive = AdaptiveConcurrency(100)
    for inside in range(100, 90, -1):
        adaptive.refused(sent_at=1.0, now=1.5, inside=inside)
    assert 70 < adaptive.size < 90 and adaptive.phase is Phase.HOLDING


def test_refusals_that_end_a_trial_restore_the_size_before_it():
    adaptive, now = AdaptiveConcurrency(100), 1.0
    adaptive.refused(sent_at=0.0, now=now, inside=101)  # it takes 100
    while adaptive.phase is not Phase.MORE:
        now += 0.01
        adaptive.note_inside(adaptive.size)
        adaptive.answered(now - 1.0, now)
    tried = adaptive.size
    for inside in range(tried, 100, -1):
        adaptive.refused(sent_at=now, now=now + 0.5, inside=inside)
    assert tried > 100 and adaptive.size == 100


def test_a_size_that_is_never_reached_does_not_grow():
    adaptive = AdaptiveConcurrency(64)
    for second in range(1_000):
        adaptive.note_inside(5)
        adaptive.answered(float(second), second + 1.0)
    assert adaptive.size == 64


@settings(max_examples=50)
@given(
    start=st.integers(1, 200),
    events=st.lists(st.tuples(st.booleans(), st.floats(0, 5), st.integers(1, 5_000)), max_size=300),
)
def test_whatever_a_server_says_the_size_stays_within_its_bounds(start: int, events: list[tuple[bool, float, int]]):
    adaptive, now = AdaptiveConcurrency(start), 0.0
    for is_answer, seconds, inside in events:
        now += seconds
        adaptive.note_inside(inside)
        if is_answer:
            adaptive.answered(now - seconds, now)
        else:
            adaptive.refused(now - seconds, now, inside)
        assert 1 <= adaptive.size <= start * GROWTH_MAX
