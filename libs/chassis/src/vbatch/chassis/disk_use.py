"""How many bytes of disk a folder takes, and the limit that an operator gives to the home of a stack."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

BLOCK_BYTES = 512
COUNTED_SECONDS = 5.0
"""How long a count is believed: a home of 100,000 files is counted in half a second."""
REFUSE_SHARE = 0.9
"""From here on new work is refused. Accepted work continues: the rest of the limit is for its answers."""


def used_bytes(folder: Path) -> int:
    """What the files below the folder take on disk. Files that vanish or cannot be read meanwhile count nothing."""
    total, waiting = 0, [str(folder)]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    total += entry.stat(follow_symlinks=False).st_blocks * BLOCK_BYTES
    return total


@dataclass
class DiskAllowance:
    """What a home holds of what it may hold; counted in the caller's thread, at most once in `COUNTED_SECONDS`."""

    folder: Path
    bytes_max: int
    count: Callable[[Path], int] = used_bytes
    _used: int = 0
    _counted_at: float = field(default=-COUNTED_SECONDS)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def used(self) -> int:
        """Bytes."""
        with self._lock:
            if monotonic() - self._counted_at >= COUNTED_SECONDS:
                self._used, self._counted_at = self.count(self.folder), monotonic()
            return self._used

    def fill(self) -> float:
        """The share that is used; more than 1 beyond the limit."""
        return self.used() / self.bytes_max


def allowance_of(home: Path, bytes_max: int) -> DiskAllowance | None:
    """None where there is no limit."""
    return DiskAllowance(home, bytes_max) if bytes_max else None
