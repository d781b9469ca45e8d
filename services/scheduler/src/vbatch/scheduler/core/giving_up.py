"""Ends a batch that cannot continue although the service is not at fault: the batch keeps its outcomes, and the
requests without one get one common reason."""

from __future__ import annotations

from datetime import datetime

from vbatch.contracts import events as e
from vbatch.contracts.failures import FileFault
from vbatch.contracts.ids import BatchId
from vbatch.contracts.lifecycle import BatchStatus
from vbatch.contracts.message import Recorded
from vbatch.scheduler.core.state.pending_batch import PendingBatch
from vbatch.scheduler.core.state.state import State

MESSAGE = "The server could not go on with this batch: {reason}"


def end_of(batch_id: BatchId, batch: PendingBatch | None, reason: str, now: datetime) -> e.AnyEvent:
    """The event that ends the batch. A batch that was not validated yet fails; a running batch ends as it is, and its
    lines without an outcome become errors when its files are written."""
    if batch is None or batch.status is BatchStatus.VALIDATING:
        fault = e.BatchFault(code=FileFault.INVALID_REQUEST, message=MESSAGE.format(reason=reason))
        return e.BatchRejected(batch_id=batch_id, faults=(fault,), at=now)
    missing = batch.ledger.total - batch.ledger.answered if batch.ledger else 0
    ending = e.Ending.COMPLETED if batch.cancel_requested_at is None else e.Ending.CANCELLED
    return e.BatchFinalizing(batch_id=batch_id, ending=ending, never_ran_count=missing, at=now)


def ends_of_given_up(state: State, now: datetime) -> list[e.AnyEvent]:
    """The events that end the given-up batches, one each."""
    return [end_of(batch_id, state.batches.get(batch_id), reason, now) for batch_id, reason in state.given_up.items()]


def give_up(state: State, record: Recorded, reason: str) -> None:
    """Give up the batch of an event that cannot be used. An event without a batch, or of a batch that has ended,
    changes nothing."""
    _, aggregate, name, event = record.subject.split(".", 3)
    batch_id = BatchId(name)
    if aggregate == "batch" and (batch_id in state.batches or event == "created"):
        state.given_up[batch_id] = reason


def forget(state: State, batch_id: BatchId) -> None:
    """Drop a batch whose end cannot be recorded either: the others continue without it."""
    state.given_up.pop(batch_id, None)
    state.batches.pop(batch_id, None)
    for slice_ in state.slices_of_batch(batch_id):
        del state.slices[slice_.event.slice_id]
