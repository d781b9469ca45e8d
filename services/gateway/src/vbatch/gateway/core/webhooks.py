"""Webhook endpoints as the gateway manages them: their params, their state according to the log, and how they are
shown."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from vbatch.contracts import events as e
from vbatch.contracts.ids import EndpointId, OwnerId
from vbatch.contracts.webhooks import SECRET_PREFIX, WebhookEventType, url_fault
from vbatch.gateway.core.keys import printable
from vbatch.gateway.core.refusals import Reason, Refusal, parameter_missing, type_invalid
from vbatch.gateway.core.shapes import json_object, string

ENDPOINTS_MAX = 100
"""The most endpoints of one owner."""
NAME_CHARS_MAX = 200
HINT_CHARS = 4
OLD_SECRET_HOURS = 24
EVENT_TYPES = tuple(WebhookEventType)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`secret_refs` names the sealed secrets that may still be in use, newest first."""

    id: EndpointId
    owner: OwnerId
    name: str
    url: str
    event_types: tuple[str, ...]
    secret_refs: tuple[str, ...]
    secret_hint: str
    created_at: datetime
    updated_at: datetime
    disabled_reason: str | None = None


@dataclass(frozen=True, slots=True)
class EndpointParams:
    """The wanted fields of an endpoint; None leaves a field unchanged."""

    name: str | None
    url: str | None
    event_types: tuple[str, ...] | None


@dataclass(frozen=True)
class Endpoints:
    """All endpoints, in the order of their creation."""

    by_id: dict[EndpointId, Endpoint] = field(default_factory=dict)

    def evolve(self, event: e.Event) -> None:
        """Fold one event; events about other subjects change nothing."""
        match event:
            case e.WebhookCreated():
                self.by_id.setdefault(event.endpoint_id, _created(event))
            case e.WebhookDeleted():
                self.by_id.pop(event.endpoint_id, None)
            case e.WebhookUpdated() | e.WebhookDisabled() | e.WebhookEnabled() | e.WebhookSecretRotated():
                if event.endpoint_id in self.by_id:
                    self.by_id[event.endpoint_id] = _changed(self.by_id[event.endpoint_id], event)
            case _:
                pass

    def of(self, owner: OwnerId) -> list[Endpoint]:
        """Return the owner's endpoints, newest first."""
        return [each for each in reversed(self.by_id.values()) if each.owner == owner]

    def find(self, owner: OwnerId, endpoint_id: str) -> Endpoint:
        """Return the endpoint. Raises Refusal."""
        found = self.by_id.get(EndpointId(endpoint_id))
        if found is None or found.owner != owner:
            words = f"No webhook endpoint found with id '{endpoint_id}'."
            raise Refusal(Reason.NO_SUCH_WEBHOOK, words, "webhook_endpoint_id")
        return found


def parse_create_params(raw: bytes, *, may_be_private: bool) -> EndpointParams:
    """Parse the body. Raises Refusal."""
    return _endpoint_ask(
        json_object(raw, required=("event_types", "name", "url"), optional=()), may_be_private=may_be_private
    )


def parse_update_params(raw: bytes, *, may_be_private: bool) -> EndpointParams:
    """Parse the body. Raises Refusal."""
    return _endpoint_ask(
        json_object(raw, required=(), optional=("event_types", "name", "url")), may_be_private=may_be_private
    )


def read_keeps_old(raw: bytes) -> bool:
    """Return whether the old secret stays in use. Raises Refusal."""
    name = "keep_old_secret_active_for_24_hours"
    value = json_object(raw, required=(), optional=(name,)).get(name, False) if raw else False
    if not isinstance(value, bool):
        raise type_invalid(name, "a boolean", value)
    return value


def parse_test_params(raw: bytes) -> str:
    """Return the type of the event to send. Raises Refusal."""
    body = json_object(raw, required=("event_type",), optional=())
    return _event_type(string(body["event_type"], "event_type"), "event_type")


def check_room(endpoints: Endpoints, owner: OwnerId) -> None:
    """Raises Refusal."""
    if len(endpoints.of(owner)) >= ENDPOINTS_MAX:
        words = f"You have {ENDPOINTS_MAX} webhook endpoints, and may have no more: delete one first."
        raise Refusal(Reason.VALUE_INVALID, words)


def secret_text(secret: bytes) -> str:
    """Return the secret in the form that receivers are given."""
    return SECRET_PREFIX + base64.b64encode(secret).decode()


def hint_of(secret: bytes) -> str:
    return secret_text(secret)[-HINT_CHARS:]


def update_event(endpoint: Endpoint, params: EndpointParams, *, by: str, now: datetime) -> e.WebhookUpdated | None:
    """Return the event of the update; None if nothing would change."""
    event = e.WebhookUpdated(
        at=now,
        endpoint_id=endpoint.id,
        name=endpoint.name if params.name is None else params.name,
        url=endpoint.url if params.url is None else params.url,
        event_types=endpoint.event_types if params.event_types is None else params.event_types,
        by=by,
    )
    is_same = (event.name, event.url, event.event_types) == (endpoint.name, endpoint.url, endpoint.event_types)
    return None if is_same else event


Change = e.WebhookUpdated | e.WebhookDisabled | e.WebhookEnabled | e.WebhookSecretRotated


def _created(event: e.WebhookCreated) -> Endpoint:
    return Endpoint(
        id=event.endpoint_id,
        owner=event.owner,
        name=event.name,
        url=event.url,
        event_types=event.event_types,
        secret_refs=(event.secret_ref,),
        secret_hint=event.secret_hint,
        created_at=event.at,
        updated_at=event.at,
    )


def _changed(endpoint: Endpoint, event: Change) -> Endpoint:
    match event:
        case e.WebhookUpdated():
            return replace(endpoint, name=event.name, url=event.url, event_types=event.event_types, updated_at=event.at)
        case e.WebhookDisabled():
            return replace(endpoint, disabled_reason=event.reason)
        case e.WebhookEnabled():
            return replace(endpoint, disabled_reason=None)
        case e.WebhookSecretRotated():
            kept = endpoint.secret_refs[:1] if event.old_valid_until is not None else ()
            return replace(
                endpoint,
                secret_refs=(event.secret_ref, *kept),
                secret_hint=event.secret_hint,
                updated_at=event.at,
            )


def _endpoint_ask(body: Mapping[str, object], *, may_be_private: bool) -> EndpointParams:
    name, url, types = body.get("name"), body.get("url"), body.get("event_types")
    return EndpointParams(
        name=None if name is None else printable(name, "name", NAME_CHARS_MAX),
        url=None if url is None else _url(string(url, "url"), may_be_private=may_be_private),
        event_types=None if types is None else _event_types(types),
    )


def _url(url: str, *, may_be_private: bool) -> str:
    fault = url_fault(url, may_be_private=may_be_private)
    if fault is not None:
        raise Refusal(Reason.VALUE_INVALID, f"Invalid 'url': {fault}.", "url")
    return url


def _event_types(value: object) -> tuple[str, ...]:
    """Return the event types, each once, in the given order."""
    if not isinstance(value, list):
        raise type_invalid("event_types", "an array", value)
    if not value:
        raise parameter_missing("event_types")
    return tuple(dict.fromkeys(_event_type(string(each, "event_types"), "event_types") for each in value))


def _event_type(text: str, param: str) -> str:
    """Return the event type. A type that never occurs here is refused, because the missing events would look like a
    fault of the receiver."""
    if text not in EVENT_TYPES:
        quoted = ", ".join(f"'{each}'" for each in EVENT_TYPES)
        raise Refusal(Reason.VALUE_INVALID, f"Invalid value: '{text}'. Events of this server are: {quoted}.", param)
    return text
