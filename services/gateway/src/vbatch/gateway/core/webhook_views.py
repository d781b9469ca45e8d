"""The objects of the webhook routes: OpenAI's keys in their order, then ours."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from vbatch.contracts.webhooks import DeliveryEntry, DeliveryStatus
from vbatch.gateway.core.webhooks import Endpoint, secret_text


class WebhookEndpointObject(BaseModel):
    """`is_enabled` and `disabled_reason` are ours: nothing more is sent to an endpoint that fails for a long time."""

    id: str
    object: Literal["webhook_endpoint"] = "webhook_endpoint"
    name: str
    url: str
    event_types: list[str]
    signing_secret_hint: str
    created_at: int
    updated_at: int
    is_enabled: bool
    disabled_reason: str | None


class WebhookEndpointWithSecretObject(WebhookEndpointObject):
    """`signing_secret` is shown in this answer and never again."""

    signing_secret: str


class WebhookEndpointList(BaseModel):
    object: Literal["list"] = "list"
    data: list[WebhookEndpointObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


class WebhookEndpointDeletedObject(BaseModel):
    id: str
    object: Literal["webhook_endpoint.deleted"] = "webhook_endpoint.deleted"
    deleted: Literal[True] = True


class WebhookTestObject(BaseModel):
    object: Literal["webhook_endpoint.test"] = "webhook_endpoint.test"
    event_type: str
    status_code: int
    success: Literal[True] = True
    webhook_endpoint_id: str


class WebhookEventTypesObject(BaseModel):
    object: Literal["list"] = "list"
    data: list[str]


class WebhookDeliveryObject(BaseModel):
    """`body` is what every attempt sends; the fields about an attempt are those of the last one."""

    object: Literal["webhook_delivery"] = "webhook_delivery"
    id: str
    event_type: str
    status: DeliveryStatus
    created_at: int
    attempts: int
    next_attempt_at: int | None
    last_attempt_at: int | None
    status_code: int | None
    error: str | None
    milliseconds: int | None
    body: str
    answer: str


class WebhookDeliveryList(BaseModel):
    object: Literal["list"] = "list"
    data: list[WebhookDeliveryObject]


def endpoint_view(endpoint: Endpoint) -> WebhookEndpointObject:
    return WebhookEndpointObject(
        id=endpoint.id,
        name=endpoint.name,
        url=endpoint.url,
        event_types=list(endpoint.event_types),
        signing_secret_hint=f"whsec_...{endpoint.secret_hint}",
        created_at=int(endpoint.created_at.timestamp()),
        updated_at=int(endpoint.updated_at.timestamp()),
        is_enabled=endpoint.disabled_reason is None,
        disabled_reason=endpoint.disabled_reason,
    )


def secret_view(endpoint: Endpoint, secret: bytes) -> WebhookEndpointWithSecretObject:
    return WebhookEndpointWithSecretObject(**endpoint_view(endpoint).model_dump(), signing_secret=secret_text(secret))


def delivery_view(entry: DeliveryEntry) -> WebhookDeliveryObject:
    return WebhookDeliveryObject(
        id=entry.delivery_id,
        event_type=entry.event_type,
        status=entry.status,
        created_at=int(entry.queued_at.timestamp()),
        attempts=entry.attempts,
        next_attempt_at=_seconds(entry.next_at),
        last_attempt_at=_seconds(entry.attempted_at),
        status_code=entry.status_code,
        error=entry.error,
        milliseconds=entry.milliseconds,
        body=entry.body,
        answer=entry.answer,
    )


def _seconds(at: datetime | None) -> int | None:
    return int(at.timestamp()) if at is not None else None
