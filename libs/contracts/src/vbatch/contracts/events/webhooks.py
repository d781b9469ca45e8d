"""The events of webhooks: their endpoints and deliveries."""

from __future__ import annotations

from datetime import datetime

from vbatch.contracts import limits
from vbatch.contracts.events.base import Event
from vbatch.contracts.ids import DeliveryId, EndpointId, OwnerId


class WebhookEvent(Event, frozen=True, kw_only=True):
    """The base of all events of webhook endpoints and deliveries."""


class WebhookCreated(WebhookEvent, frozen=True, kw_only=True):
    """From now on, an endpoint of its owner is sent these types of events.

    `secret_ref` names the file that holds the signing secret, which is in no event. `secret_hint` is the end of the
    secret.
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
    """From now on, the endpoint has these properties."""

    endpoint_id: EndpointId
    name: limits.PersonText
    url: limits.Url
    event_types: limits.EventTypes
    by: limits.Word


class WebhookDeleted(WebhookEvent, frozen=True, kw_only=True):
    """Nothing more is sent to the endpoint, not even deliveries that wait."""

    endpoint_id: EndpointId
    by: limits.Word


class WebhookDisabled(WebhookEvent, frozen=True, kw_only=True):
    """Nothing is sent to the endpoint until it is enabled. Waiting deliveries stay, and no new ones are queued."""

    endpoint_id: EndpointId
    by: limits.Word
    reason: limits.ReasonText


class WebhookEnabled(WebhookEvent, frozen=True, kw_only=True):
    """The owner enabled the endpoint again."""

    endpoint_id: EndpointId
    by: limits.Word


class WebhookSecretRotated(WebhookEvent, frozen=True, kw_only=True):
    """Deliveries are signed with another secret, and until `old_valid_until` also with the previous one."""

    endpoint_id: EndpointId
    secret_ref: limits.Word
    secret_hint: limits.Word
    by: limits.Word
    old_valid_until: datetime | None = None


class WebhookTestAsked(WebhookEvent, frozen=True, kw_only=True):
    """The owner asked for one delivery of this type, now. It is tried once."""

    endpoint_id: EndpointId
    delivery_id: DeliveryId
    event_type: limits.Word
    by: limits.Word


class WebhookResendAsked(WebhookEvent, frozen=True, kw_only=True):
    """The owner asked for a delivery again, with the same id and bytes. Its tries begin again."""

    endpoint_id: EndpointId
    delivery_id: DeliveryId
    by: limits.Word


class WebhookQueued(WebhookEvent, frozen=True, kw_only=True):
    """A delivery waits for the endpoint. `body` is what every try sends."""

    endpoint_id: EndpointId
    delivery_id: DeliveryId
    event_type: limits.Word
    body: limits.Payload
    is_test: bool = False


class WebhookDelivered(WebhookEvent, frozen=True, kw_only=True):
    """The endpoint took the delivery at this attempt. `answer` is the beginning of its answer."""

    endpoint_id: EndpointId
    delivery_id: DeliveryId
    attempt: int
    status_code: int
    milliseconds: int
    answer: limits.ShortAnswer = ""


class WebhookFailed(WebhookEvent, frozen=True, kw_only=True):
    """An attempt was answered otherwise (`status_code`) or not at all (`error`). Without `next_at` it was the last
    one."""

    endpoint_id: EndpointId
    delivery_id: DeliveryId
    attempt: int
    milliseconds: int
    status_code: int | None = None
    error: limits.ReasonText | None = None
    answer: limits.ShortAnswer = ""
    next_at: datetime | None = None


class WebhookExhausted(WebhookEvent, frozen=True, kw_only=True):
    """All tries of a delivery are used up. It is among the dead letters."""

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
