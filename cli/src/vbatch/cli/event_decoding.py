"""Decodes an SSE record to its event: the log's own JSON, with the catalogue's names; chunks lack their answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from vbatch.cli.live import ChunkSummary, LiveEvent
from vbatch.client import LiveEvent as SentEvent
from vbatch.contracts.catalogue import KINDS

TYPES: Mapping[str, type[Any]] = {kind.name: kind.type for kind in KINDS} | {"batch.chunk_completed": ChunkSummary}


def event_of(record: SentEvent) -> LiveEvent | None:
    """Return the event; None if this command does not know its type: the server may be newer."""
    kind = TYPES.get(record.name)
    if kind is None:
        return None
    try:
        event: LiveEvent = msgspec.json.decode(record.data, type=kind)
        return event
    except msgspec.DecodeError:
        return None
