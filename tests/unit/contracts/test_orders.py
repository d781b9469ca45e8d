"""Orders to a runner come back as they went, and repeats of one order share a message id."""

from __future__ import annotations

import pytest

from tests.support.events import BATCH, EPOCH, MODEL, SLICE
from vbatch.contracts.events import RequestError
from vbatch.contracts.failures import RequestFault
from vbatch.contracts.orders import (
    CancelBatch,
    FailSlice,
    PauseBatch,
    RequestRef,
    RunSlice,
    UnreadableOrder,
    WorkOrder,
    decode_order,
    encode_order,
)

REFS = (RequestRef(1, 0, 40), RequestRef(3, 41, 50))
RUN = RunSlice(
    epoch=EPOCH, batch_id=BATCH, slice_id=SLICE, model=MODEL, endpoint="/v1/x", blob="b", attempt=1, requests=REFS
)
FAULT = RequestError(code=RequestFault.ENGINE_CRASHED, message="no")
FAIL = FailSlice(epoch=EPOCH, batch_id=BATCH, slice_id=SLICE, model=MODEL, blob="b", requests=REFS, fault=FAULT)
RECALL = CancelBatch(epoch=EPOCH, batch_id=BATCH)
HOLD = PauseBatch(epoch=EPOCH, batch_id=BATCH, pause=12)


@pytest.mark.parametrize("order", [RUN, FAIL, RECALL, HOLD], ids=["run", "fail", "recall", "hold"])
def test_an_order_comes_back_as_it_went(order: WorkOrder):
    message = encode_order(order, subject="work.gpu0")
    assert decode_order(message.body) == order
    assert encode_order(order, subject="work.gpu0").message_id == message.message_id


def test_each_pause_has_an_order_of_its_own():
    later = PauseBatch(epoch=EPOCH, batch_id=BATCH, pause=15)
    assert encode_order(HOLD, subject="w").message_id != encode_order(later, subject="w").message_id


def test_orders_are_small_enough_for_the_queue():
    refs = tuple(RequestRef(999_999, 10**11, 10**7) for _ in range(512))
    order = RunSlice(
        epoch=10**9, batch_id=BATCH, slice_id=SLICE, model=MODEL, endpoint="/v1/x", blob="b", attempt=9, requests=refs
    )
    assert len(encode_order(order, subject="work.gpu0").body) < 65_536


@pytest.mark.parametrize("body", [b"", b"{}", b'{"order":"dance"}'])
def test_noise_is_named_as_such(body: bytes):
    with pytest.raises(UnreadableOrder):
        decode_order(body)
