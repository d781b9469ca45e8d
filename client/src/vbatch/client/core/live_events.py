"""One event of a batch as the gateway streams it, and decoded: the log's own JSON, but chunks arrive without
answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from vbatch.contracts import events as e
from vbatch.contracts.catalogue import KINDS


class ChunkSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A batch.chunk_completed as the gateway streams it: its lines, their outcomes and their cost; no answers."""

    at: datetime
    lines: tuple[int, ...]
    succeeded: int
    failed: int
    usage: e.Usage = e.NO_USAGE


EVENT_TYPES: Mapping[str, type[Any]] = {kind.name: kind.type for kind in KINDS} | {
    "batch.chunk_completed": ChunkSummary
}


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """`id` is its place in the log, so that reading can continue behind it; `data` is its JSON, as docs/events.md
    describes it."""

    id: int
    name: str
    data: str

    def fields(self) -> dict[str, object]:
        """The decoded data."""
        return msgspec.json.decode(self.data, type=dict[str, object])


def live_event(place: str, name: str, data: str, *, after: int) -> LiveEvent | None:
    """Return the event of these fields; None for an event that was seen before, and for a record that is not an
    event."""
    if not data or not place.isascii() or not place.isdigit() or int(place) <= after:
        return None
    return LiveEvent(int(place), name, data)


def event_of(record: LiveEvent) -> e.AnyEvent | ChunkSummary | None:
    """Return the event; None if this client does not know its type: the server may be newer."""
    kind = EVENT_TYPES.get(record.name)
    if kind is None:
        return None
    try:
        event: e.AnyEvent | ChunkSummary = msgspec.json.decode(record.data, type=kind)
        return event
    except msgspec.DecodeError:
        return None
