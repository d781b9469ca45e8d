"""What a client sees of a batch."""

from dataclasses import replace

import pytest

from tests.support.events import BATCH_CREATED
from vbatch.contracts.events import Usage
from vbatch.contracts.lifecycle import TERMINAL, BatchStatus
from vbatch.gateway.core.records import batch_of
from vbatch.gateway.core.views import batch_view

BATCH = replace(batch_of(BATCH_CREATED, 1), usage=Usage(input_tokens=5, output_tokens=3))


@pytest.mark.parametrize("status", BatchStatus)
def test_usage_is_told_when_a_batch_is_over(status: BatchStatus):
    told = batch_view(replace(BATCH, status=status), foreseen=None).usage
    assert told.total_tokens == (8 if status in TERMINAL else 0)
