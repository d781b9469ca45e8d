"""What a cancel means for a batch in each status."""

from __future__ import annotations

from dataclasses import replace

from vbatch.contracts.lifecycle import BatchStatus
from vbatch.gateway.core.records import BatchRecord
from vbatch.gateway.core.refusals import batch_over

OVER_OTHERWISE = frozenset({BatchStatus.COMPLETED, BatchStatus.FAILED, BatchStatus.EXPIRED})
OPEN_TO_CANCEL = frozenset({BatchStatus.VALIDATING, BatchStatus.IN_PROGRESS})


def check_cancellable(batch: BatchRecord) -> None:
    """Raises Refusal for a batch that ended in another way."""
    if batch.status in OVER_OTHERWISE:
        raise batch_over("cancel", batch.status)


def with_cancel_requested(batch: BatchRecord) -> BatchRecord:
    """The batch as the cancel found it: OpenAI answers `cancelling`, however soon the end comes after it."""
    if batch.status is not BatchStatus.CANCELLED:
        return batch
    return replace(batch, status=BatchStatus.CANCELLING, cancelled_at=None, output_file_id=None, error_file_id=None)


def answers_at_once(status: BatchStatus) -> bool:
    """Cancelling a batch twice is no fault, and one whose counting is over ends by itself: neither needs an event."""
    return status not in OPEN_TO_CANCEL
