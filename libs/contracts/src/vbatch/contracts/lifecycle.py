"""The rules for a batch's status, steering and counting. The scheduler and results fold the same log through the same
rules, so they always agree.

The status moves only along OpenAI's arcs. The first event in the log wins: a cancel request before the end of counting
makes the batch cancelled; one after it changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from vbatch.contracts import events as e
from vbatch.contracts.failures import RequestFault


class BatchStatus(StrEnum):
    """OpenAI's statuses of a batch."""

    VALIDATING = "validating"
    FAILED = "failed"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


TERMINAL = frozenset({BatchStatus.FAILED, BatchStatus.COMPLETED, BatchStatus.EXPIRED, BatchStatus.CANCELLED})

TRANSITIONS: dict[tuple[BatchStatus, type[e.Event]], BatchStatus] = {
    (BatchStatus.VALIDATING, e.BatchValidated): BatchStatus.IN_PROGRESS,
    (BatchStatus.VALIDATING, e.BatchRejected): BatchStatus.FAILED,
    (BatchStatus.VALIDATING, e.BatchCancelRequested): BatchStatus.CANCELLING,
    (BatchStatus.VALIDATING, e.BatchFinalizing): BatchStatus.FINALIZING,
    (BatchStatus.IN_PROGRESS, e.BatchCancelRequested): BatchStatus.CANCELLING,
    (BatchStatus.IN_PROGRESS, e.BatchFinalizing): BatchStatus.FINALIZING,
    (BatchStatus.FINALIZING, e.BatchCompleted): BatchStatus.COMPLETED,
    (BatchStatus.FINALIZING, e.BatchExpired): BatchStatus.EXPIRED,
    (BatchStatus.CANCELLING, e.BatchCancelled): BatchStatus.CANCELLED,
}
"""Every possible move; any other event leaves the status unchanged."""


def next_status(status: BatchStatus, event: e.Event) -> BatchStatus:
    """Return the status after the event; unchanged if TRANSITIONS has no move."""
    return TRANSITIONS.get((status, type(event)), status)


PRIORITY_MIN, PRIORITY_MAX = -100, 100
"""0 is the default; ten more points double the weight (scheduler, core.policy)."""
STEERABLE = frozenset({BatchStatus.VALIDATING, BatchStatus.IN_PROGRESS})
"""The statuses in which a batch can be paused, resumed and given another priority."""


@dataclass(frozen=True, slots=True)
class Steering:
    """What the owner set for a batch's place in the queue; `paused_at` is None while the batch may run."""

    priority: int = 0
    paused_at: datetime | None = None


def steered(steering: Steering, status: BatchStatus, event: e.BatchEvent) -> Steering:
    """Return the steering after the event. `status` is the one after the event. A batch that is being ended is not
    paused."""
    if status not in STEERABLE:
        return replace(steering, paused_at=None)
    match event:
        case e.BatchPaused():
            return replace(steering, paused_at=steering.paused_at or event.at)
        case e.BatchResumed():
            return replace(steering, paused_at=None)
        case e.BatchPriorityChanged():
            return replace(steering, priority=event.priority)
        case _:
            return steering


def true_ending(status: BatchStatus, asked: e.Ending) -> e.Ending:
    """Return the ending of a batch whose counting stopped in `status`: the scheduler may have missed an earlier
    cancel."""
    return e.Ending.CANCELLED if status is BatchStatus.CANCELLING else asked


NEVER_RAN_FAULT: dict[e.Ending, RequestFault] = {
    e.Ending.CANCELLED: RequestFault.BATCH_CANCELLED,
    e.Ending.EXPIRED: RequestFault.BATCH_EXPIRED,
}
"""The error of a line that never ran, by the ending of its batch; a completed batch has no such line."""


class Ledger:
    """Which lines of one batch have an outcome. The first outcome of a line wins; after `close` no outcome counts.

    It takes one byte for each physical line, so a million lines cost a megabyte.
    """

    def __init__(self, total: int, last_line: int) -> None:
        self.total = total
        self.answered = 0
        self.completed = 0
        self.failed = 0
        self.usage = e.NO_USAGE
        self.flaws: dict[e.Flaw, int] = {}
        self.is_closed = False
        self._answered = bytearray(last_line + 1)

    def record(self, outcome: e.Outcome | e.OutcomeOutline) -> bool:
        """Record an outcome and return whether it counted."""
        if self.is_closed or self.has(outcome.line):
            return False
        self._answered[outcome.line] = 1
        self.answered += 1
        self.completed += outcome.is_success
        self.failed += not outcome.is_success
        self.usage += outcome.usage
        for flaw in outcome.flaws:
            self.flaws[flaw] = self.flaws.get(flaw, 0) + 1
        return True

    def has(self, line: int) -> bool:
        return line < len(self._answered) and self._answered[line] == 1

    def close(self) -> None:
        self.is_closed = True

    @property
    def is_full(self) -> bool:
        return self.answered >= self.total

    @property
    def counts(self) -> e.RequestCounts:
        return e.RequestCounts(total=self.total, completed=self.completed, failed=self.failed)
