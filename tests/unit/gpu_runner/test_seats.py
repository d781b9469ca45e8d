"""Batch requests leave room for interactive ones, and never stand still for them."""

from __future__ import annotations

from hypothesis import given, strategies as st

from vbatch.gpu_runner.core.concurrency import concurrency_for
from vbatch.gpu_runner.core.seats import LaneLoad, batch_places, running_max_of

NOBODY = LaneLoad(0, is_active=False)


@given(st.integers(1, 10_000))
def test_what_an_engine_runs_at_once_follows_from_its_concurrency(max_num_seqs: int):
    assert running_max_of(concurrency_for(max_num_seqs)) == max_num_seqs


@given(st.integers(8, 2_000), st.booleans())
def test_while_nobody_waits_batches_have_all_places(size: int, has_priority: bool):
    assert batch_places(size, size, NOBODY, has_priority=has_priority) == size


def test_an_engine_with_priorities_only_gives_the_places_that_are_used():
    assert batch_places(160, 128, LaneLoad(3, is_active=True), has_priority=True) == 157
    assert batch_places(160, 128, LaneLoad(0, is_active=True), has_priority=True) == 160


def test_in_any_other_engine_nothing_of_a_batch_waits_and_seats_stay_free():
    assert batch_places(160, 128, LaneLoad(0, is_active=True), has_priority=False) == 120
    assert batch_places(160, 128, LaneLoad(20, is_active=True), has_priority=False) == 107


@given(st.integers(8, 500), st.integers(1, 500), st.integers(0, 600), st.booleans())
def test_batches_never_stand_still(size: int, running_max: int, inside: int, has_priority: bool):
    load = LaneLoad(inside, is_active=True)
    assert 1 <= batch_places(size, running_max, load, has_priority=has_priority) <= size
