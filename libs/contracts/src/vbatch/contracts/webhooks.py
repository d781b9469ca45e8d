"""What the gateway and the notifier agree on: which events can be sent, what a URL looks like, how deliveries are
listed."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from urllib.parse import urlsplit

import msgspec

from vbatch.contracts.ids import DeliveryId, EndpointId

URL_CHARS_MAX = 2_048
PORTS_FROM = 1_024
DELIVERIES_KEPT = 200
"""The number of deliveries kept for one endpoint, the newest ones."""
ANSWER_BYTES_KEPT = 1_024
SECRET_PREFIX = "whsec_"
SECRET_BYTES = 32


class WebhookEventType(StrEnum):
    """The event types of OpenAI that can happen here, then our own."""

    BATCH_COMPLETED = "batch.completed"
    BATCH_FAILED = "batch.failed"
    BATCH_EXPIRED = "batch.expired"
    BATCH_CANCELLED = "batch.cancelled"
    BATCH_IN_PROGRESS = "vbatch.batch.in_progress"
    BATCH_FIRST_ANSWER = "vbatch.batch.first_answer"
    BATCH_QUALITY_DROPPED = "vbatch.batch.quality_dropped"
    BATCH_ERROR_SHARE = "vbatch.batch.error_share"
    MODEL_FAILED = "vbatch.model.failed"


class DeliveryFault(StrEnum):
    """Why there was no answer. Deliberately coarse: a client that sets the URL must not learn which services listen
    where."""

    ADDRESS_NOT_ALLOWED = "address_not_allowed"
    NO_ANSWER = "no_answer"
    SECRET_LOST = "secret_lost"


class DeliveryStatus(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    """The delivery is not tried again: it was a test, its endpoint is gone, or its tries are used up."""


class DeliveryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery as it is now. `body` is what each try sends; the last fields are those of the last try."""

    delivery_id: DeliveryId
    event_type: str
    status: DeliveryStatus
    body: str
    queued_at: datetime
    attempts: int
    next_at: datetime | None = None
    attempted_at: datetime | None = None
    status_code: int | None = None
    error: str | None = None
    milliseconds: int | None = None
    answer: str = ""


class DeliveryPage(msgspec.Struct, frozen=True, kw_only=True):
    """The newest deliveries of an endpoint, newest first."""

    endpoint_id: EndpointId
    deliveries: tuple[DeliveryEntry, ...]


def url_fault(url: str, *, may_be_private: bool) -> str | None:
    """Return what is wrong with the address of a webhook, in plain words; None if it may be tried."""
    if len(url) > URL_CHARS_MAX or not url.isascii() or not url.isprintable() or " " in url:
        return f"expected at most {URL_CHARS_MAX} printable ASCII characters without blanks"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "expected a URL"
    if parts.scheme not in (("https", "http") if may_be_private else ("https",)):
        return "expected a URL that begins with https://"
    if not parts.hostname:
        return "expected a URL with a host"
    if parts.username is not None or parts.password is not None:
        return "a URL must not hold a user name or a password"
    if port is not None and port < PORTS_FROM and port != (443 if parts.scheme == "https" else 80):
        return f"expected no port, the scheme's own, or one from {PORTS_FROM} on"
    return None
