"""Which events of the log are sent to endpoints, under which type, and with which bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from vbatch.contracts import events as e
from vbatch.contracts.ids import BatchId, DeliveryId
from vbatch.contracts.subjects import NOTIFIER_LEASES, WEBHOOK_EVENTS
from vbatch.contracts.webhooks import WebhookEventType as Type

SUBJECTS = (
    WEBHOOK_EVENTS,
    NOTIFIER_LEASES,
    *(f"evt.batch.*.{name}" for name in ("created", "validated")),
    *(f"evt.batch.*.{name}" for name in ("first_answered", "quality_dropped", "error_share_exceeded")),
    *(f"evt.batch.*.{end}" for end in ("rejected", "completed", "cancelled", "expired")),
    "evt.runner.*.model_failed",
)
"""The subjects that this service reads from the log."""

TYPES: Mapping[type[e.Event], Type] = {
    e.BatchValidated: Type.BATCH_IN_PROGRESS,
    e.BatchFirstAnswered: Type.BATCH_FIRST_ANSWER,
    e.BatchQualityDropped: Type.BATCH_QUALITY_DROPPED,
    e.BatchErrorShareExceeded: Type.BATCH_ERROR_SHARE,
    e.BatchRejected: Type.BATCH_FAILED,
    e.BatchCompleted: Type.BATCH_COMPLETED,
    e.BatchCancelled: Type.BATCH_CANCELLED,
    e.BatchExpired: Type.BATCH_EXPIRED,
    e.ModelFailed: Type.MODEL_FAILED,
}
TEST_BATCH = "batch_" + "0" * 32
TEST_MODEL = "test-model"


class News(NamedTuple):
    """What is sent about an event: `subject_id` is the batch or the model; without a batch, every owner receives it."""

    type: Type
    subject_id: str
    batch_id: BatchId | None


class _Data(msgspec.Struct, frozen=True):
    id: str


class _Body(msgspec.Struct, frozen=True):
    id: str
    object: str
    created_at: int
    type: str
    data: _Data


def news_of(event: e.Event) -> News | None:
    """The news of an event; None for an event that is not sent to anyone."""
    kind = TYPES.get(type(event))
    match event:
        case e.ModelFailed() if kind is not None:
            return News(kind, event.model, None)
        case e.BatchFirstAnswered() | e.BatchQualityDropped() | e.BatchErrorShareExceeded() if kind is not None:
            return News(kind, event.batch_id, event.batch_id)
        case e.BatchValidated() | e.BatchRejected() | e.BatchSealed() if kind is not None:
            return News(kind, event.batch_id, event.batch_id)
        case _:
            return None


def body_of(delivery_id: DeliveryId, event_type: str, subject_id: str, created_at: int) -> str:
    """The body, in OpenAI's form and order of keys."""
    return msgspec.json.encode(_Body(delivery_id, "event", created_at, event_type, _Data(subject_id))).decode()


def subject_of_test(event_type: str) -> str:
    """The subject of a test, which does not exist."""
    return TEST_MODEL if event_type == Type.MODEL_FAILED else TEST_BATCH
