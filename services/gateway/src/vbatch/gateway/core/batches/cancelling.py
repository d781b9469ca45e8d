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
    """Return the batch as the cancel found it: OpenAI answers `cancelling`, however soon the batch ends after it."""
    if batch.status is not BatchStatus.CANCELLED:
        return batch
    return replace(batch, status=BatchStatus.CANCELLING, cancelled_at=None, output_file_id=None, error_file_id=None)


def answers_at_once(status: BatchStatus) -> bool:
    """Whether no event is needed: the batch is being cancelled already, or its requests are done and it ends soon."""
    return status not in OPEN_TO_CANCEL
