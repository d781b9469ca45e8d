"""The folders of a stack on file systems of their own, whose room can be taken away and given back."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tests.support.small_disks import moved_to_disks, no_mounts_because
from tests.support.stack import RunningStack
from vbatch.local.stack import Stack

DISK_BYTES = 4 << 30
"""Of each; they are tmpfs, and take what they hold from memory: some 10 MB a fault, all together."""
DISKS = {f"{part}-disk": part for part in ("nats", "blobs", "results", "postgres")}
"""The log, uploads with sealed files and large answers, growing files, and the read model."""
TRIES_MAX = 200
AVAILABLE = "each folder has a file system of its own"


@dataclass(frozen=True)
class Disk:
    """One mounted file system. It becomes full without being filled: its limit comes down to what it holds."""

    folder: Path

    @contextmanager
    def full(self) -> Iterator[None]:
        """Within the block there is no room for another page."""
        try:
            self._take_room()
            yield
        finally:
            self._limit(DISK_BYTES)

    def _take_room(self) -> None:
        """Others write meanwhile, and a limit below what is there is refused."""
        for _ in range(TRIES_MAX):
            with suppress(subprocess.CalledProcessError):
                return self._limit(self._held_bytes())
        raise TimeoutError(f"{self.folder} grows faster than it can be limited")

    def _held_bytes(self) -> int:
        """At least a page: to tmpfs no limit at all is 0."""
        held = subprocess.run(["df", "--output=used", "-B1", self.folder], check=True, capture_output=True, text=True)
        return max(int(held.stdout.split()[-1]), 4096)

    def _limit(self, size: int) -> None:
        argv = ["mount", "-o", f"remount,size={size}", str(self.folder)]
        subprocess.run(argv, check=True, capture_output=True)


@dataclass(frozen=True)
class Disks:
    """By the victim's name. None at all where nothing can be mounted; `state` says so for the report."""

    by_name: Mapping[str, Disk]
    state: str


@contextmanager
def stack_on_disks(prepared: RunningStack, *, is_wanted: bool) -> Iterator[tuple[RunningStack, Disks]]:
    """The stack, not started, on disks where this machine has them; on leaving it is down."""
    reason = no_mounts_because() if is_wanted else "not asked for"
    if reason is not None:
        yield prepared, Disks({}, f"not available: {reason}")
        return
    with moved_to_disks(prepared, dict.fromkeys(DISKS.values(), DISK_BYTES)):
        stack = replace(prepared, stack=Stack(prepared.settings))  # whose limits follow the disks it finds
        try:
            yield stack, Disks({name: Disk(stack.home / part) for name, part in DISKS.items()}, AVAILABLE)
        finally:
            stack.stack.down()
