"""Splits bytes into lines, at LF only: JSON lines and server-sent events may hold any other separator as text."""

from __future__ import annotations

from collections.abc import Iterator

LINE_BYTES_MAX = 256 << 20
"""The largest line. The server limits an engine's answer to far less."""


class LineTooLong(ValueError):
    """The stream does not consist of lines."""


class LineSplitter:
    """Pass it the bytes as they arrive. `taken` counts the bytes of the complete lines that it returned."""

    def __init__(self) -> None:
        self.taken = 0
        self._pieces: list[bytes] = []
        self._kept = 0

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield each line that is complete now, without its LF. Raises LineTooLong."""
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
