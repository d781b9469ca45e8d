"""The events of webhooks: their endpoints and deliveries."""

from __future__ import annotations

from datetime import datetime

from vbatch.contracts import limits
from vbatch.contracts.events.base import Event
from vbatch.contracts.ids import DeliveryId, EndpointId, OwnerId


class WebhookEvent(Event, frozen=True, kw_only=True):
    """The base of all events of webhook endpoints and deliveries."""


class WebhookCreated(WebhookEvent, frozen=True, kw_only=True):
    """An endpoint of its owner is told of these types of events from now on.

    `secret_ref` names the file that holds the signing secret, which is in no event; `secret_hint` is how it ends.
    """

    endpoint_id: EndpointId
    owner: OwnerId
    name: limits.PersonText
    url: limits.Url
    event_types: limits.EventTypes
    secret_ref: limits.Word
    secret_hint: limits.Word
    by: limits.Word


class WebhookUpdated(WebhookEvent, frozen=True, kw_only=True):
    """The endpoint is this from now on."""

    endpoint_id: EndpointId
    name: limits.PersonText
    url: limits.Url
    event_types: limits.EventTypes
    by: limits.Word


class WebhookDeleted(WebhookEvent, frozen=True, kw_only=True):
    """Nothing more is sent to the endpoint, not even what waits."""

    endpoint_id: EndpointId
    by: limits.Word


class WebhookDisabled(WebhookEvent, frozen=True, kw_only=True):
    """Nothing is sent to the endpoint until it is enabled; what waits, waits, and nothing new is queued."""

    endpoint_id: EndpointId
    by: limits.Word
    reason: limits.ReasonText


class WebhookEnabled(WebhookEvent, frozen=True, kw_only=True):
    """Its owner wants the endpoint to be told again."""

    endpoint_id: EndpointId
    by: limits.Word


class WebhookSecretRotated(WebhookEvent, frozen=True, kw_only=True):
    """Deliveries are signed with another secret, and until `old_valid_until` with the one before as well."""

    endpoint_id: EndpointId
    secret_ref: limits.Word
    secret_hint: limits.Word
    by: limits.Word
    old_valid_until: datetime | None = None


class WebhookTestAsked(WebhookEvent, frozen=True, kw_only=True):
    """Its owner wants to see one delivery of this type, now; it is tried once."""

    endpoint_id: EndpointId
    delivery_id: DeliveryId
    event_type: limits.Word
    by: limits.Word


class WebhookResendAsked(WebhookEvent, frozen=True, kw_only=True):
    """Its owner wants a delivery once more, with the same id and bytes; its tries begin again."""

    endpoint_id: EndpointId
    delivery_id: DeliveryId
    by: limits.Word


class WebhookQueued(WebhookEvent, frozen=True, kw_only=True):
    """Something to tell the endpoint. `body` is what every try sends."""

    endpoint_id: EndpointId
    delivery_id: DeliveryId
    event_type: limits.Word
    body: limits.Payload
    is_test: bool = False


class WebhookDelivered(WebhookEvent, frozen=True, kw_only=True):
    """The endpoint took the delivery, at this attempt; `answer` is how its answer began."""

    endpoint_id: EndpointId
    delivery_id: DeliveryId
    attempt: int
    status_code: int
    milliseconds: int
    answer: limits.ShortAnswer = ""


class WebhookFailed(WebhookEvent, frozen=True, kw_only=True):
    """An attempt was answered otherwise (`status_code`) or not at all (`error`). Without `next_at` it was the last."""

    endpoint_id: EndpointId
    delivery_id: DeliveryId
    attempt: int
    milliseconds: int
    status_code: int | None = None
    error: limits.ReasonText | None = None
    answer: limits.ShortAnswer = ""
    next_at: datetime | None = None


class WebhookExhausted(WebhookEvent, frozen=True, kw_only=True):
    """All tries of a delivery are used up; it lies among the dead letters."""

    endpoint_id: EndpointId
    delivery_id: DeliveryId
    attempts: int


AnyWebhookEvent = (
    WebhookCreated
    | WebhookUpdated
    | WebhookDeleted
    | WebhookDisabled
    | WebhookEnabled
    | WebhookSecretRotated
    | WebhookTestAsked
    | WebhookResendAsked
    | WebhookQueued
    | WebhookDelivered
    | WebhookFailed
    | WebhookExhausted
)
