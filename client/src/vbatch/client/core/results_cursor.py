"""Reads the answers of a batch to their end over any number of connections: which request comes next, and when all is
read.

Answers are in a file that only grows, so a byte offset is a place to which a reader can return. Each round first reads
what the file holds; the server says where the file ends, which distinguishes an end from a broken connection. A
follower then waits for more, and begins the next round when that stream ends for whatever reason.
"""

from __future__ import annotations

from collections.abc import Iterator

from vbatch.client.core.lines import LineSplitter


class ResultsCursor:
    """`next_byte` is the end of the last complete line that was returned."""

    def __init__(self, after_byte: int, *, is_following: bool) -> None:
        self.next_byte = after_byte
        self.is_done = False
        self._follows = is_following
        self._is_waiting = False
        self._is_incomplete = True
        self._end: int | None = None
        self._start = after_byte
        self._splitter = LineSplitter()

    @property
    def query(self) -> str:
        """The query of the next request."""
        return f"after_byte={self.next_byte}" + ("&follow=true" if self._is_waiting else "")

    def begin(self, incomplete: str | None, end: str | None) -> None:
        """Begin an answer, from `X-Incomplete` and `X-Next-Byte` of its head."""
        self._is_incomplete = incomplete == "true"
        self._end = int(end) if end is not None and end.isdigit() else None
        self._start, self._splitter = self.next_byte, LineSplitter()

    def feed(self, piece: bytes) -> Iterator[tuple[bytes, int]]:
        """Yield each whole line with the byte behind it."""
        for line in self._splitter.feed(piece):
            self.next_byte = self._start + self._splitter.taken
            yield line, self.next_byte

    def finish(self) -> bool:
        """Record that the answer ended as the server intended. Return whether it was complete."""
        if self._is_waiting:
            self._is_waiting = False
            return True
        if self._end is not None and self.next_byte < self._end:
            return False
        self.is_done = not self._follows or not self._is_incomplete
        self._is_waiting = not self.is_done
        return True

    def interrupt(self) -> bool:
        """Record that the answer broke off, or that nothing came for long: the next request reads what the file holds.
        Return whether the answer was one that may be silent."""
        was_waiting, self._is_waiting = self._is_waiting, False
        return was_waiting
