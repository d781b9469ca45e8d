"""An SSE record to the event it carries: the log's own JSON, named by the catalogue, answers left out."""

from __future__ import annotations

import msgspec

from vbatch.cli.sse import ServerEvent
from vbatch.contracts.catalogue import KINDS
from vbatch.contracts.events import ChunkCompleted, ChunkOutline, Event

TYPES: dict[str, type[Event]] = {
    kind.name: ChunkOutline if kind.type is ChunkCompleted else kind.type for kind in KINDS
}


def event_of(record: ServerEvent) -> Event | None:
    """None for what this command does not know: a newer server may say more."""
    kind = TYPES.get(record.name)
    if kind is None:
        return None
    try:
        return msgspec.json.decode(record.data, type=kind)
    except msgspec.DecodeError:
        return None
