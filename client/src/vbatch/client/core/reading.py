"""Reads what a server streams to its end over any number of connections: what to request next, and after which pause.

The connections belong to the clients, blocking or asynchronous; nothing here waits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from vbatch.client.core import routes
from vbatch.client.core.lines import LineSplitter
from vbatch.client.core.live_events import LiveEvent, live_event
from vbatch.client.core.results_cursor import ResultsCursor
from vbatch.client.core.retries import Retries
from vbatch.client.errors import Silent, Unreachable


class EventReading:
    """The events of a batch behind the one with the id `after`."""

    def __init__(self, batch_id: str, after: int) -> None:
        self.path = routes.batch(batch_id, "events")
        self._early_end = Unreachable(f"The event stream of {batch_id} keeps ending early. Try again.")
        self._after = after
        self._retries = Retries()

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the next request."""
        return {"Accept": "text/event-stream"} | ({"Last-Event-ID": str(self._after)} if self._after else {})

    def take(self, place: str, name: str, data: str) -> LiveEvent | None:
        """Return the event of these fields; None for an event that was seen before, and for a record that is not an
        event."""
        event = live_event(place, name, data, after=self._after)
        if event is not None:
            self._after = event.id
            self._retries.brought()
        return event

    def pause(self, trouble: Unreachable | None) -> float:
        """Return the seconds to wait after the stream ended. Raises Unreachable after several unsuccessful tries."""
        return self._retries.pause(trouble or self._early_end)


class ResultsReading:
    """The answers of a batch behind the byte `after_byte`. A follower waits for answers to come."""

    def __init__(self, batch_id: str, after_byte: int, *, is_following: bool) -> None:
        self._path = routes.batch(batch_id, "results")
        self._early_end = Unreachable(f"The answers of {batch_id} keep ending early. Try again.")
        self._cursor = ResultsCursor(after_byte, is_following=is_following)
        self._retries = Retries()

    @property
    def is_done(self) -> bool:
        return self._cursor.is_done

    @property
    def path(self) -> str:
        """The path of the next request."""
        return f"{self._path}?{self._cursor.query}"

    def begin(self, headers: Mapping[str, str]) -> None:
        self._cursor.begin(headers.get("x-incomplete"), headers.get("x-next-byte"))

    def feed(self, piece: bytes) -> Iterator[tuple[bytes, int]]:
        """Yield each whole line with the byte behind it."""
        for line in self._cursor.feed(piece):
            self._retries.brought()
            yield line

    def pause(self, trouble: Unreachable | None) -> float:
        """Return the seconds to wait after the answer ended. Raises Unreachable after several unsuccessful tries."""
        if trouble is None and self._cursor.finish():
            return 0.0
        may_be_silent = self._cursor.interrupt()
        if isinstance(trouble, Silent) and may_be_silent:
            return 0.0
        return self._retries.pause(trouble or self._early_end)


class FileReading:
    """The lines of a file."""

    def __init__(self, file_id: str) -> None:
        self.path = routes.content(file_id)
        self._taken = 0
        self._retries = Retries()
        self._splitter = LineSplitter()

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the next request."""
        return routes.range_from(self._taken)

    def feed(self, piece: bytes) -> Iterator[bytes]:
        return self._splitter.feed(piece)

    def pause(self, trouble: Unreachable) -> float:
        """Return the seconds to wait after the connection broke. Raises `trouble` after several unsuccessful tries."""
        if self._splitter.taken:
            self._retries.brought()
        self._taken += self._splitter.taken
        self._splitter = LineSplitter()
        return self._retries.pause(trouble)
