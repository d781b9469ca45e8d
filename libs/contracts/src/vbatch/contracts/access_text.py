"""Sentences for people about the events of keys, quotas, limits, webhooks and administration."""

from __future__ import annotations

import msgspec

from vbatch.contracts import events as e
from vbatch.contracts.operation_text import operation_text

Endpoint = e.WebhookCreated | e.WebhookUpdated | e.WebhookDeleted | e.WebhookDisabled | e.WebhookEnabled
EndpointRequest = e.WebhookSecretRotated | e.WebhookTestAsked | e.WebhookResendAsked | e.WebhookQueued
Delivery = e.WebhookDelivered | e.WebhookFailed | e.WebhookExhausted


def access_text(event: e.AnyAccessEvent | e.AnyWebhookEvent | e.AnyOperationEvent) -> str:
    if isinstance(event, e.OperationEvent):
        return operation_text(event)
    if isinstance(event, e.AccessEvent):
        return _access(event)
    if isinstance(event, Endpoint):
        return _webhook(event)
    return _webhook_request(event) if isinstance(event, EndpointRequest) else _delivery(event)


def _access(event: e.AnyAccessEvent) -> str:
    match event:
        case e.KeyCreated():
            return f"{event.by} made a key for {event.owner}, scope {', '.join(event.scopes)} ({event.name})"
        case e.KeyRevoked():
            why = f" ({event.reason})" if event.reason else ""
            return f"{event.by} revoked {event.key_id}{why}"
        case e.KeyExpirySet():
            successor = f", {event.replaced_by} takes its place" if event.replaced_by else ""
            return f"{event.key_id} expires at {event.expires_at:%Y-%m-%d %H:%M} UTC{successor}"
        case e.OwnerQuotaChanged():
            return f"{event.by} set the quota of {event.owner}: {_set_fields(event.quota)}"
        case e.LimitsChanged():
            return f"{event.by} set the rate limits: {_set_fields(event.after)}"


def _set_fields(limits: msgspec.Struct) -> str:
    """Return `reads_per_minute_max 60, ...` for the limits that are set."""
    chosen: dict[str, int] = msgspec.to_builtins(limits)
    return ", ".join(f"{name} {value:,}" for name, value in chosen.items()) or "none"


def _webhook(event: Endpoint) -> str:
    match event:
        case e.WebhookCreated() | e.WebhookUpdated():
            return f"{event.by} registered {event.url} for {', '.join(event.event_types)} ({event.name})"
        case e.WebhookDeleted():
            return f"{event.by} deleted the endpoint"
        case e.WebhookDisabled():
            return f"nothing more is sent: {event.reason}"
        case e.WebhookEnabled():
            return f"{event.by} enabled the endpoint again"


def _webhook_request(event: EndpointRequest) -> str:
    match event:
        case e.WebhookSecretRotated():
            return f"{event.by} rotated the signing secret"
        case e.WebhookTestAsked():
            return f"{event.by} asks for a test with {event.event_type}"
        case e.WebhookResendAsked():
            return f"{event.by} asks to send {event.delivery_id} again"
        case e.WebhookQueued():
            return f"{event.event_type} is due as {event.delivery_id}"


def _delivery(event: Delivery) -> str:
    match event:
        case e.WebhookDelivered():
            return f"{event.delivery_id} was delivered at attempt {event.attempt} ({event.status_code})"
        case e.WebhookFailed():
            met = event.error or event.status_code
            again = f"again at {event.next_at:%Y-%m-%d %H:%M:%S} UTC" if event.next_at else "not tried again"
            return f"{event.delivery_id} failed at attempt {event.attempt} ({met}); {again}"
        case e.WebhookExhausted():
            return f"{event.delivery_id} failed {event.attempts} times and is a dead letter"
