"""How long things usually take on this machine: the last few times of each, kept in the state folder."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rich.console import Console

from vbatch.chassis.files import write_atomically
from vbatch.cli.moving import moving_line

FILE_NAME = "usual_seconds.json"
FILE_BYTES_MAX = 65_536
TIMES_KEPT = 5
NAMES_MAX = 32


@dataclass(frozen=True)
class Usual:
    """The times of one state folder. Without times, or with a file that cannot be read, no usual time is known."""

    home: Path

    def seconds(self, name: str) -> float | None:
        """Return the median of the last few times."""
        times = self._read().get(name)
        return statistics.median(times) if times else None

    def note(self, name: str, seconds: float) -> None:
        """Record one more time. If it cannot be stored, nothing fails."""
        known = self._read()
        times = [*known.pop(name, []), round(seconds, 2)][-TIMES_KEPT:]
        newest = dict([*known.items(), (name, times)][-NAMES_MAX:])
        with suppress(OSError):
            write_atomically(self.home / FILE_NAME, msgspec.json.encode(newest))

    def _read(self) -> dict[str, list[float]]:
        try:
            with (self.home / FILE_NAME).open("rb") as file:
                return msgspec.json.decode(file.read(FILE_BYTES_MAX), type=dict[str, list[float]])
        except (OSError, msgspec.DecodeError):
            return {}


@contextmanager
def usual_line(console: Console, home: Path, name: str, text: str) -> Iterator[None]:
    """Show a moving line for something that was timed before. The time of a block that fails is not recorded."""
    usual, began = Usual(home), time.monotonic()
    with moving_line(console, text, usual.seconds(name)):
        yield
    usual.note(name, time.monotonic() - began)
