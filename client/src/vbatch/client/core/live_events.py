"""One event of a batch as the gateway streams it."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """`id` is its place in the log, to continue behind it; `data` is its JSON, as docs/events.md describes it."""

    id: int
    name: str
    data: str

    def fields(self) -> dict[str, object]:
        """The decoded data."""
        return msgspec.json.decode(self.data, type=dict[str, object])


def live_event(place: str, name: str, data: str, *, after: int) -> LiveEvent | None:
    """Return the event of these fields; None for one that was seen before, and for a record that is none."""
    if not data or not place.isascii() or not place.isdigit() or int(place) <= after:
        return None
    return LiveEvent(int(place), name, data)
