"""How many requests are kept inside, against engines that run as many at once as they like."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from vbatch.gpu_runner.adapters.engine.http.client import stats_in
from vbatch.gpu_runner.core.concurrency import (
    GROWTH_MAX,
    WAITING_MAX,
    WAITING_MIN,
    ConcurrencyLimit,
    EngineStats,
    concurrency_for,
)

counts = st.integers(0, 5_000)


def look(concurrency: ConcurrencyLimit, runs_at_once: int, *, inside: int | None = None, on_the_way: int = 0) -> bool:
    """What a full window, or so many inside, leads to in an engine that runs so many at once."""
    inside = concurrency.size if inside is None else inside
    arrived = max(0, inside - on_the_way)
    running = min(arrived, runs_at_once)
    return concurrency.follow(EngineStats(running=running, waiting=arrived - running), inside)


def answer(concurrency: ConcurrencyLimit, count: int, now: float) -> None:
    for _ in range(count):
        concurrency.answered(now)


def pass_evenly(concurrency: ConcurrencyLimit, generations: int = 2) -> None:
    """So many times as many answers as are inside, each in a step of its own."""
    for number in range(generations * (concurrency.size + 1)):
        concurrency.answered(float(number))


def test_the_window_begins_with_what_the_engine_runs_and_some_that_wait():
    assert [concurrency_for(size) for size in (1, 128, 256)] == [33, 160, 320]


def test_an_engine_short_of_room_gets_no_more_than_a_few_that_wait():
    concurrency = ConcurrencyLimit(160)
    assert look(concurrency, runs_at_once=11)
    assert WAITING_MIN <= concurrency.size - 11 <= WAITING_MAX


def test_an_engine_that_runs_more_than_its_definition_says_gets_more():
    concurrency = ConcurrencyLimit(36)
    assert look(concurrency, runs_at_once=36)
    assert WAITING_MIN <= concurrency.size - 36 <= WAITING_MAX


def test_a_window_that_was_not_full_tells_nothing():
    assert not look(ConcurrencyLimit(160), runs_at_once=128, inside=100)


def test_what_is_still_above_a_window_made_smaller_does_not_shrink_it_again():
    concurrency = ConcurrencyLimit(160)
    look(concurrency, runs_at_once=3)
    size = concurrency.size
    look(concurrency, runs_at_once=3, inside=150)
    assert concurrency.size == size


def test_requests_on_their_way_to_a_distant_engine_are_no_reason_for_fewer():
    concurrency = ConcurrencyLimit(160)
    look(concurrency, runs_at_once=128, on_the_way=60)
    assert concurrency.size > 160


@given(st.integers(1, 2_000), st.integers(1, 4_000))
def test_the_window_comes_to_rest(start: int, runs_at_once: int):
    concurrency = ConcurrencyLimit(start)
    for _ in range(2 + start // WAITING_MIN):
        look(concurrency, runs_at_once)
    assert not look(concurrency, runs_at_once)


@given(st.integers(100, 2_000), st.integers(1, 99))
def test_an_engine_that_has_enough_waiting_is_measured_at_one_look(start: int, runs_at_once: int):
    concurrency = ConcurrencyLimit(start)
    look(concurrency, runs_at_once)
    assert WAITING_MIN <= concurrency.size - runs_at_once <= max(WAITING_MAX, 2 * runs_at_once)


@given(st.integers(1, 2_000), st.lists(st.tuples(counts, counts)))
def test_the_window_stays_in_its_bounds_whatever_the_engine_says(start: int, loads: list[tuple[int, int]]):
    concurrency = ConcurrencyLimit(start)
    for running, waiting in loads:
        concurrency.follow(EngineStats(running, waiting), running + waiting)
        assert min(start, WAITING_MIN) <= concurrency.size <= max(WAITING_MIN, GROWTH_MAX * start)


def test_requests_that_began_together_may_end_together():
    concurrency = ConcurrencyLimit(160)
    look(concurrency, runs_at_once=128)
    assert concurrency.size - 128 >= 128


@given(st.integers(8, 600))
def test_as_many_wait_as_end_in_one_step(burst: int):
    concurrency = ConcurrencyLimit(1_000)
    pass_evenly(concurrency)
    answer(concurrency, burst, now=5_000.0)
    look(concurrency, runs_at_once=128)
    assert min(burst, 128) <= concurrency.size - 128 <= max(WAITING_MAX, 2 * burst)


def test_a_burst_is_met_before_the_next_look():
    concurrency = ConcurrencyLimit(160)
    pass_evenly(concurrency)
    look(concurrency, runs_at_once=128)
    assert concurrency.size - 128 <= WAITING_MAX
    answer(concurrency, 128, now=5_000.0)
    assert concurrency.size == 256


def test_what_is_sent_for_one_step_arrives_during_the_next_so_two_steps_add_up_and_no_more():
    concurrency = ConcurrencyLimit(160)
    for step in range(100):
        answer(concurrency, 16, now=float(step))
    assert not concurrency.follow(EngineStats(running=128, waiting=32), inside=160)
    assert concurrency.follow(EngineStats(running=128, waiting=31), inside=160)


def test_a_burst_two_generations_ago_is_forgotten():
    concurrency = ConcurrencyLimit(160)
    look(concurrency, runs_at_once=128)
    answer(concurrency, 128, now=0.0)
    pass_evenly(concurrency)
    look(concurrency, runs_at_once=128)
    assert concurrency.size - 128 <= WAITING_MAX


def test_the_load_is_read_from_vllms_metrics_summed_over_its_engines():
    metrics = b"""\
# HELP vllm:num_requests_running Number of requests in model execution batches.
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 4.0
vllm:num_requests_waiting{engine="0",model_name="m"} 1.0
vllm:num_requests_waiting{engine="1",model_name="m"} 0.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="m",reason="capacity"} 9.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.5
"""
    assert stats_in(metrics) == EngineStats(running=7, waiting=1, kv_share=0.5)


def test_a_server_without_these_metrics_tells_no_load():
    assert stats_in(b"") is None
    assert stats_in(b"process_cpu_seconds_total 1.5\n") is None


@pytest.mark.parametrize("value", [b"many", b"nan", b"inf", b"-1", b"1e999", b"9" * 1_000_000])
def test_a_load_that_cannot_be_is_none(value: bytes):
    metrics = b"vllm:num_requests_running{} %s\nvllm:num_requests_waiting{} 1\n" % value
    assert stats_in(metrics) is None
