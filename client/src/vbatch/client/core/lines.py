"""Bytes become lines, split at LF alone: JSON lines and server-sent events may hold any other separator as text."""

from __future__ import annotations

from collections.abc import Iterator

LINE_BYTES_MAX = 256 << 20
"""Of one line: an answer is at most as large as the server lets an engine's be, which is far less."""


class LineTooLong(ValueError):
    """The stream is not made of lines."""


class LineSplitter:
    """Feed it the bytes as they come; `taken` counts those of the whole lines that it gave."""

    def __init__(self) -> None:
        self.taken = 0
        self._pieces: list[bytes] = []
        self._kept = 0

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield each line that is whole now, without its LF. Raises LineTooLong."""
        *whole, rest = piece.split(b"\n")
        for line in whole:
            line = b"".join([*self._pieces, line])
            self._pieces, self._kept = [], 0
            self.taken += len(line) + 1
            yield line
        self._pieces.append(rest)
        self._kept += len(rest)
        if self._kept > LINE_BYTES_MAX:
            raise LineTooLong(f"A line is longer than {LINE_BYTES_MAX:,} bytes.")
