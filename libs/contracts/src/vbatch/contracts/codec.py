"""Converts events to messages and back: JSON bodies, CloudEvents 1.0 headers (binary mode), deterministic message ids.

Upcasts convert an event of an older version to the current one: they change its plain JSON before it is decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Protocol

import msgspec

from vbatch.contracts.bounds import within_bounds
from vbatch.contracts.catalogue import BY_CE_TYPE, BY_TYPE, EventKind
from vbatch.contracts.events import AnyEvent, ChunkCompleted, ChunkOutline, Event
from vbatch.contracts.message import Message

Payload = dict[str, Any]
Upcast = Callable[[Payload], Payload]

CE_TYPE = "ce-type"
UPCASTS: Mapping[str, tuple[str, Upcast | None]] = {
    # The second version may name a priority; without one it is the default, 0.
    "vbatch.batch.created.v1": ("vbatch.batch.created.v2", None),
    # The third version may name the batch that it retries, or its fan-out and model; the second had neither.
    "vbatch.batch.created.v2": ("vbatch.batch.created.v3", None),
    # The second version gives the flaws of answers; without them an answer has none.
    "vbatch.batch.chunk_completed.v1": ("vbatch.batch.chunk_completed.v2", None),
    # The second version says where engine and model come from; the first did not record it.
    "vbatch.runner.model_loaded.v1": ("vbatch.runner.model_loaded.v2", None),
    # The second version gives the profile; the first did not record it.
    "vbatch.runner.model_loading.v1": ("vbatch.runner.model_loading.v2", None),
    # The second version may pin a model; no model of the first version is pinned.
    "vbatch.model.registered.v1": ("vbatch.model.registered.v2", None),
    # The third version may name several base URLs and how to reach them; the second names one, reached without a key.
    "vbatch.model.registered.v2": ("vbatch.model.registered.v3", None),
}
"""`ce-type` of an old version → (`ce-type` it becomes, how); None where the payload stays."""


class Unreadable(Exception):
    """The bytes are not one of our events. Trying again does not help."""


class Stored(Protocol):
    """The part of a recorded message that decoding needs."""

    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def body(self) -> bytes: ...


def encode(event: Event, *, source: str) -> Message:
    """Encode an event. `source` names the writing service, e.g. `gateway`; the event's own `at` becomes `ce-time`.

    Texts that are longer than their bounds are cut.
    """
    kind = BY_TYPE[type(event)]
    message_id = kind.message_id(event)
    headers = {
        "ce-specversion": "1.0",
        "ce-id": message_id,
        "ce-source": f"/vbatch/{source}",
        CE_TYPE: kind.ce_type,
        "ce-subject": kind.aggregate_id(event),
        "ce-time": event.at.isoformat(),
        "content-type": "application/json",
    }
    return Message(kind.subject(event), msgspec.json.encode(within_bounds(event)), message_id, headers)


def decode(stored: Stored) -> AnyEvent:
    """Decode the whole event. Raises Unreadable."""
    return _decode(stored, outline=False)


def decode_outline(stored: Stored) -> AnyEvent:
    """Decode the event, but read a ChunkCompleted as a ChunkOutline, which skips the answers. Raises Unreadable."""
    return _decode(stored, outline=True)


def _decode(stored: Stored, *, outline: bool) -> AnyEvent:
    try:
        kind, body = _current(stored.headers[CE_TYPE], stored.body)
        event: AnyEvent = _decoder(_wanted(kind, outline=outline)).decode(body)
        return event
    except KeyError as error:
        raise Unreadable(f"unknown event type {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unreadable(f"{stored.headers.get(CE_TYPE)}: {error}") from error


def _wanted(kind: EventKind, *, outline: bool) -> type[Event]:
    return ChunkOutline if outline and kind.type is ChunkCompleted else kind.type


def _current(ce_type: str, body: bytes) -> tuple[EventKind, bytes]:
    while ce_type in UPCASTS:
        ce_type, upcast = UPCASTS[ce_type]
        if upcast is not None:
            body = msgspec.json.encode(upcast(msgspec.json.decode(body)))
    return BY_CE_TYPE[ce_type], body


@lru_cache(maxsize=64)
def _decoder(event_type: type[Event]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(event_type)
