"""What the scheduler tells a runner over WORK. Orders hold references only and can be made again from the log."""

from __future__ import annotations

import msgspec

from vbatch.contracts.events import RequestError
from vbatch.contracts.ids import BatchId, ModelId, SliceId
from vbatch.contracts.message import Message


class RequestRef(msgspec.Struct, frozen=True, array_like=True):
    """The place of one request in the input blob, in bytes; `length` leaves out the line end.

    Requests of one `group` begin with the same long text, whichever batch they belong to; 0 means no group.
    """

    line: int
    offset: int
    length: int
    group: int = 0


class Order(msgspec.Struct, frozen=True, kw_only=True, tag_field="order"):
    """The fields that all orders share. `epoch` is the runner's: a runner drops an order for another epoch as stale."""

    epoch: int
    batch_id: BatchId


class RunSlice(Order, frozen=True, kw_only=True, tag="run"):
    """Run these requests on this model and record every outcome.

    `model_behind` is another model that has waiting work, so that the runner can prepare for it; it is a hint, not an
    order. With `replaces_model` the bodies name another model, and the runner puts this one in its place.
    """

    slice_id: SliceId
    model: ModelId
    endpoint: str
    blob: str
    attempt: int
    requests: tuple[RequestRef, ...]
    model_behind: ModelId | None = None
    replaces_model: bool = False


class FailSlice(Order, frozen=True, kw_only=True, tag="fail"):
    """Do not run these requests: record each as failed with this fault."""

    slice_id: SliceId
    model: ModelId
    blob: str
    requests: tuple[RequestRef, ...]
    fault: RequestError


class CancelBatch(Order, frozen=True, kw_only=True, tag="recall"):
    """Stop the running requests of this batch and return their lines."""


class PauseBatch(Order, frozen=True, kw_only=True, tag="hold"):
    """Start no more requests of this batch: return its lines that are not inside the engine, and let the others finish.

    `pause` is the sequence of the event that asks for it: a batch can be paused more than once.
    """

    pause: int


class LoadModel(msgspec.Struct, frozen=True, kw_only=True, tag_field="order", tag="load"):
    """Load this model for clients that wait for it, once the requests of the slices that have begun are done.

    It then stays for at least `stay_seconds`. `demand` is the sequence of the event that says why. `epoch` is that of
    the runner, as in every order.
    """

    epoch: int
    model: ModelId
    demand: int
    stay_seconds: float


WorkOrder = RunSlice | FailSlice | CancelBatch | PauseBatch | LoadModel
_DECODER = msgspec.json.Decoder(WorkOrder)


class UnreadableOrder(Exception):
    """The bytes are not one of our orders."""


def encode_order(order: WorkOrder, *, subject: str) -> Message:
    """Return the message of an order. Its id lets the queue drop repeats."""
    message_id = f"{order.epoch}:{_name(order)}"
    return Message(subject, msgspec.json.encode(order), message_id, {"content-type": "application/json"})


def _name(order: WorkOrder) -> str:
    """Return the message name. It is the same when another scheduler makes the same order again."""
    match order:
        case RunSlice() | FailSlice():
            return order.slice_id
        case CancelBatch():
            return f"{order.batch_id}:recall"
        case PauseBatch():
            return f"{order.batch_id}:hold:{order.pause}"
        case LoadModel():
            return f"load:{order.demand}"


def decode_order(body: bytes) -> WorkOrder:
    """Decode an order. Raises UnreadableOrder."""
    try:
        order: WorkOrder = _DECODER.decode(body)
    except msgspec.DecodeError as error:
        raise UnreadableOrder(str(error)) from error
    return order
