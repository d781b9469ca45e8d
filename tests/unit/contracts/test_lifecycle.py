"""The law of a batch's status, its steering and its counting."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, strategies as st

from tests.support.events import BATCH, NOON, SAMPLES
from vbatch.contracts import events as e
from vbatch.contracts.lifecycle import (
    STEERABLE,
    TERMINAL,
    BatchStatus,
    Ledger,
    Steering,
    next_status,
    steered,
    true_ending,
)

S = BatchStatus
SAMPLE: dict[type[e.Event], e.AnyEvent] = {type(event): event for event in SAMPLES}


def after(*kinds: type[e.Event]) -> BatchStatus:
    status = S.VALIDATING
    for kind in kinds:
        status = next_status(status, SAMPLE[kind])
    return status


@pytest.mark.parametrize(
    ("story", "status"),
    [
        ((), S.VALIDATING),
        ((e.BatchRejected,), S.FAILED),
        ((e.BatchValidated,), S.IN_PROGRESS),
        ((e.BatchValidated, e.BatchFinalizing), S.FINALIZING),
        ((e.BatchValidated, e.BatchFinalizing, e.BatchCompleted), S.COMPLETED),
        ((e.BatchValidated, e.BatchFinalizing, e.BatchExpired), S.EXPIRED),
        ((e.BatchCancelRequested,), S.CANCELLING),
        ((e.BatchCancelRequested, e.BatchValidated), S.CANCELLING),
        ((e.BatchCancelRequested, e.BatchFinalizing, e.BatchCancelled), S.CANCELLED),
        ((e.BatchValidated, e.BatchCancelRequested, e.BatchFinalizing), S.CANCELLING),
        ((e.BatchValidated, e.BatchFinalizing, e.BatchCancelRequested), S.FINALIZING),
    ],
)
def test_status_follows_openais_arcs(story: tuple[type[e.Event], ...], status: BatchStatus):
    assert after(*story) is status


@given(st.lists(st.sampled_from(list(SAMPLE))))
def test_a_terminal_status_is_never_left(kinds: list[type[e.Event]]):
    status = S.VALIDATING
    for kind in kinds:
        following = next_status(status, SAMPLE[kind])
        assert following is status or status not in TERMINAL
        status = following


def test_a_cancel_that_came_before_the_end_of_counting_wins():
    assert true_ending(S.CANCELLING, e.Ending.COMPLETED) is e.Ending.CANCELLED
    assert true_ending(S.FINALIZING, e.Ending.COMPLETED) is e.Ending.COMPLETED


def outcome(line: int, status_code: int | None = 200) -> e.Outcome:
    return e.Outcome(line=line, custom_id=str(line), status_code=status_code, usage=e.Usage(output_tokens=1))


def test_the_first_outcome_of_a_line_wins():
    ledger = Ledger(total=2, last_line=2)
    assert [ledger.record(outcome(1)), ledger.record(outcome(1, 500)), ledger.record(outcome(2, None))] == [
        True,
        False,
        True,
    ]
    assert (ledger.counts, ledger.usage.output_tokens) == (e.RequestCounts(total=2, completed=1, failed=1), 2)


def test_nothing_counts_after_the_end_of_counting():
    ledger = Ledger(total=2, last_line=2)
    ledger.close()
    assert not ledger.record(outcome(1))


@given(st.permutations([1, 2, 3, 5, 5, 3, 8]))
def test_repeats_in_any_order_count_once(lines: list[int]):
    ledger = Ledger(total=5, last_line=8)
    assert sum(ledger.record(outcome(line)) for line in lines) == 5
    assert ledger.is_full


def test_a_pause_lasts_until_it_is_resumed_and_its_first_time_counts():
    paused, again = e.BatchPaused(batch_id=BATCH, at=NOON), e.BatchPaused(batch_id=BATCH, at=NOON + timedelta(hours=1))
    steering = steered(steered(Steering(), S.IN_PROGRESS, paused), S.IN_PROGRESS, again)
    assert steering == Steering(paused_at=NOON)
    assert steered(steering, S.IN_PROGRESS, e.BatchResumed(batch_id=BATCH, at=NOON)) == Steering()


def test_the_latest_priority_holds_also_while_paused():
    changed = e.BatchPriorityChanged(batch_id=BATCH, priority=40, at=NOON)
    assert steered(Steering(-5, NOON), S.VALIDATING, changed) == Steering(40, NOON)


@pytest.mark.parametrize("status", [status for status in S if status not in STEERABLE])
def test_a_batch_that_is_being_ended_is_not_steered_any_more(status: S):
    for event in (e.BatchPaused(batch_id=BATCH, at=NOON), e.BatchPriorityChanged(batch_id=BATCH, priority=1, at=NOON)):
        assert steered(Steering(7, NOON), status, event) == Steering(7)
