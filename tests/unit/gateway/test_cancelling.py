"""What a cancel is answered."""

from dataclasses import replace

import pytest

from tests.support.events import BATCH_CREATED, NOON
from vbatch.contracts.ids import FileId
from vbatch.contracts.lifecycle import BatchStatus
from vbatch.gateway.core.batches.cancelling import check_cancellable, with_cancel_requested
from vbatch.gateway.core.records import batch_of
from vbatch.gateway.core.refusals import Refusal

BATCH = batch_of(BATCH_CREATED, 1)


def test_a_cancel_is_answered_cancelling_even_when_the_end_came_at_once():
    ended = replace(
        BATCH,
        status=BatchStatus.CANCELLED,
        cancelling_at=NOON,
        cancelled_at=NOON,
        error_file_id=FileId("file-x"),
    )

    assert with_cancel_requested(ended) == replace(BATCH, status=BatchStatus.CANCELLING, cancelling_at=NOON)


def test_a_cancel_that_came_after_the_end_of_counting_leaves_the_batch_as_it_stands():
    finalizing = replace(BATCH, status=BatchStatus.FINALIZING)

    assert with_cancel_requested(finalizing) is finalizing


@pytest.mark.parametrize("status", [BatchStatus.COMPLETED, BatchStatus.FAILED, BatchStatus.EXPIRED])
def test_a_batch_that_ended_otherwise_cannot_be_cancelled(status: BatchStatus):
    with pytest.raises(Refusal, match=f"Cannot cancel a batch with status '{status}'"):
        check_cancellable(replace(BATCH, status=status))
