"""Plans of long files on disk, so that the next scheduler does not repeat the many seconds of work.

A plan follows from its file alone, so losing one costs only that time.
"""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path

import msgspec

from vbatch.chassis.files import write_atomically
from vbatch.scheduler.core.planning.plan import Plan, packed, unpacked

PLANS_MAX = 8
"""Only this many of the newest plans stay; the plan of a million requests takes 20 MB."""
ENDING = ".plan"


class KeptPlans:
    """Plans in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, blob: str) -> Plan | None:
        try:
            return unpacked(self._path(blob).read_bytes())
        except (OSError, msgspec.DecodeError):
            return None  # it was never kept, gave way to newer ones, or has another version: the file is read again

    def keep(self, blob: str, plan: Plan) -> None:
        """Store the plan if the disk has room for it."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomically(self._path(blob), packed(plan))
            self._forget_oldest()
        except OSError:
            return  # a full disk is no reason to refuse a batch

    def keep_only(self, blobs: Set[str]) -> None:
        """Delete the plans of all other files."""
        kept = {self._path(blob) for blob in blobs}
        for path in self._folder.glob(f"*{ENDING}"):
            if path not in kept:
                path.unlink(missing_ok=True)

    def _forget_oldest(self) -> None:
        newest_first = sorted(self._folder.glob(f"*{ENDING}"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in newest_first[PLANS_MAX:]:
            path.unlink(missing_ok=True)

    def _path(self, blob: str) -> Path:
        return self._folder / (blob.replace("/", "_") + ENDING)
