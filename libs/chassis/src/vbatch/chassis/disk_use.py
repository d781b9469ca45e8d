"""How many bytes of disk a folder takes, and the limit that an operator sets for the home of a stack."""

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
"""How long a count stays valid: counting a home of 100,000 files takes half a second."""
REFUSE_SHARE = 0.9
"""New work is refused from this share on. Accepted work continues: the rest of the limit is for its answers."""


def used_bytes(folder: Path) -> int:
    """Return the disk space that the files below the folder take. Files that vanish or cannot be read count as zero."""
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
    """How much a home holds and how much it may hold. Counted in the caller's thread, at most once in
    `COUNTED_SECONDS`."""

    folder: Path
    bytes_max: int
    count: Callable[[Path], int] = used_bytes
    _used: int = 0
    _counted_at: float = field(default=-COUNTED_SECONDS)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def used(self) -> int:
        """The bytes in use."""
        with self._lock:
            if monotonic() - self._counted_at >= COUNTED_SECONDS:
                self._used, self._counted_at = self.count(self.folder), monotonic()
            return self._used

    def fill(self) -> float:
        """The share in use; more than 1 beyond the limit."""
        return self.used() / self.bytes_max


def allowance_of(home: Path, bytes_max: int) -> DiskAllowance | None:
    """Return the allowance of the home; None without a limit."""
    return DiskAllowance(home, bytes_max) if bytes_max else None
