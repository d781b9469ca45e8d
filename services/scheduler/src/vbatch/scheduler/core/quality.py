"""Acts when too many answers of a batch have a flaw, or too many of its requests fail: the scheduler reports each flaw
and the errors once, and pauses the batch for a flaw if its owner asked for that. All of it follows from the counts that
the ledger keeps while the batch runs."""

from __future__ import annotations

from datetime import datetime

from vbatch.contracts import events as e
from vbatch.contracts.lifecycle import STEERABLE
from vbatch.scheduler.core.state.pending_batch import PendingBatch

ANSWERS_MIN = 20
"""With fewer answers than this, a share says little."""
ERROR_SHARE_MAX = 0.05
"""When more than this share of the requests answered so far failed, the scheduler reports it."""
ERRORS_OF_MIN = 100
"""With fewer requests answered than this, the share of errors says little."""
TOLD_UNASKED = frozenset(e.Flaw) - {e.Flaw.CUT}
"""Many batches want short answers and cut all of them, so `cut` is reported only if the owner gave a threshold."""


def quality_events(batch: PendingBatch, share_max: float, now: datetime) -> list[e.AnyEvent]:
    """The events to record about the batch's answers. The pause comes first: if only that is recorded, the rest
    follows."""
    ledger = batch.ledger
    if ledger is None or ledger.completed < ANSWERS_MIN:
        return []
    asked = batch.created.pause_on or {}
    events: list[e.AnyEvent] = []
    for flaw, count in ledger.flaws.items():
        threshold = asked.get(flaw, share_max if flaw in TOLD_UNASKED else None)
        if threshold is None or flaw in batch.flaws_told or count < threshold * ledger.completed:
            continue
        if flaw in asked and _may_pause(batch):
            events = events or [e.BatchPaused(batch_id=batch.batch_id, at=now)]
        events.append(
            e.BatchQualityDropped(
                batch_id=batch.batch_id, flaw=flaw, count=count, answers=ledger.completed, share_max=threshold, at=now
            )
        )
    return events


def error_events(batch: PendingBatch, now: datetime) -> list[e.AnyEvent]:
    """The event to record about the batch's failed requests."""
    ledger = batch.ledger
    if ledger is None or batch.is_error_share_told or ledger.answered < ERRORS_OF_MIN:
        return []
    if ledger.failed <= ERROR_SHARE_MAX * ledger.answered:
        return []
    return [
        e.BatchErrorShareExceeded(
            batch_id=batch.batch_id, failed=ledger.failed, answered=ledger.answered, share_max=ERROR_SHARE_MAX, at=now
        )
    ]


def _may_pause(batch: PendingBatch) -> bool:
    has_all = batch.ledger is not None and batch.ledger.is_full
    return batch.status in STEERABLE and not batch.is_paused and not has_all
