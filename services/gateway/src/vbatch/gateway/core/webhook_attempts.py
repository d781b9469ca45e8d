"""The attempts of one delivery to a webhook endpoint, from its events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel

from vbatch.contracts import events as e

ATTEMPTS_SHOWN_MAX = 100
"""The most attempts of one delivery that are shown, the newest; each resend begins ten more."""

Attempt = e.WebhookDelivered | e.WebhookFailed


class WebhookAttemptObject(BaseModel):
    """`succeeded` says whether the endpoint accepted the delivery. `next_attempt_at` is when the next attempt was
    due."""

    object: Literal["webhook_attempt"] = "webhook_attempt"
    number: int
    at: int
    succeeded: bool
    status_code: int | None
    error: str | None
    milliseconds: int
    answer: str
    next_attempt_at: int | None


class WebhookAttemptList(BaseModel):
    """Oldest first."""

    object: Literal["list"] = "list"
    data: list[WebhookAttemptObject]


def attempt_of(event: e.AnyEvent, delivery_id: str) -> Attempt | None:
    """Return the attempt; None for an event of another delivery."""
    return event if isinstance(event, Attempt) and event.delivery_id == delivery_id else None


def attempts_view(attempts: Sequence[Attempt]) -> WebhookAttemptList:
    return WebhookAttemptList(data=[_view(attempt) for attempt in attempts])


def _view(attempt: Attempt) -> WebhookAttemptObject:
    failed = attempt if isinstance(attempt, e.WebhookFailed) else None
    next_at = failed.next_at if failed is not None else None
    return WebhookAttemptObject(
        number=attempt.attempt,
        at=int(attempt.at.timestamp()),
        succeeded=failed is None,
        status_code=attempt.status_code,
        error=failed.error if failed is not None else None,
        milliseconds=attempt.milliseconds,
        answer=attempt.answer,
        next_attempt_at=int(next_at.timestamp()) if next_at is not None else None,
    )
