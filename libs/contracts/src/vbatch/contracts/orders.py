"""What the scheduler tells a runner over WORK. Orders hold references only; they can be made again from the log."""

from __future__ import annotations

import msgspec

from vbatch.contracts.events import RequestError
from vbatch.contracts.ids import BatchId, ModelId, SliceId
from vbatch.contracts.message import Message


class RequestRef(msgspec.Struct, frozen=True, array_like=True):
    """Where one request stands in the input blob; `length` leaves out the line end. Bytes.

    Requests of one `group` begin with the same long text, in whichever batch they are; 0 is no group.
    """

    line: int
    offset: int
    length: int
    group: int = 0


class Order(msgspec.Struct, frozen=True, kw_only=True, tag_field="order"):
    """`epoch` is the runner's: an order for another epoch is stale and dropped."""

    epoch: int
    batch_id: BatchId


class RunSlice(Order, frozen=True, kw_only=True, tag="run"):
    """Run these requests on this model and record every outcome.

    `model_behind` is another model whose work waits, so that the runner may prepare for it; a hint, no order.
    """

    slice_id: SliceId
    model: ModelId
    endpoint: str
    blob: str
    attempt: int
    requests: tuple[RequestRef, ...]
    model_behind: ModelId | None = None


class FailSlice(Order, frozen=True, kw_only=True, tag="fail"):
    """Do not run these requests: record each as failed for this reason."""

    slice_id: SliceId
    model: ModelId
    blob: str
    requests: tuple[RequestRef, ...]
    fault: RequestError


class CancelBatch(Order, frozen=True, kw_only=True, tag="recall"):
    """Stop what is running of this batch and return its lines."""


class PauseBatch(Order, frozen=True, kw_only=True, tag="hold"):
    """Start nothing more of this batch: return its lines that are not inside the engine, let the others finish.

    `pause` is the sequence of the event that asks for it: a batch can be paused again.
    """

    pause: int


WorkOrder = RunSlice | FailSlice | CancelBatch | PauseBatch
_DECODER = msgspec.json.Decoder(WorkOrder)


class UnreadableOrder(Exception):
    """These bytes are no order of ours."""


def encode_order(order: WorkOrder, *, subject: str) -> Message:
    message_id = f"{order.epoch}:{_name(order)}"
    return Message(subject, msgspec.json.encode(order), message_id, {"content-type": "application/json"})


def _name(order: WorkOrder) -> str:
    """The same for the same order made again by another scheduler."""
    match order:
        case RunSlice() | FailSlice():
            return order.slice_id
        case CancelBatch():
            return f"{order.batch_id}:recall"
        case PauseBatch():
            return f"{order.batch_id}:hold:{order.pause}"


def decode_order(body: bytes) -> WorkOrder:
    try:
        order: WorkOrder = _DECODER.decode(body)
    except msgspec.DecodeError as error:
        raise UnreadableOrder(str(error)) from error
    return order
