"""Small real file systems below the parts of a stack, to be filled and freed.

They are tmpfs mounts, so they need the right to mount; `needs_small_disks` skips a test without it.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest

from tests.support.stack import RunningStack, stack_home
from vbatch.local import programs
from vbatch.local.stack import Stack

MIB = 1 << 20
PAGE = 4096
PARTS: Mapping[str, int] = {"nats": 192 * MIB, "blobs": 64 * MIB, "results": 48 * MIB, "postgres": 256 * MIB}
"""The folders of a home that get a disk of their own, with its size."""
FILLER = "filler"
WATERMARKS = {
    "VBATCH_GATEWAY_DISK_FREE_BYTES_MIN": str(16 * MIB),
    "VBATCH_GATEWAY_DISK_FREE_SHARE_MIN": "0",
    "VBATCH_LOG_FREE_BYTES_MIN": str(8 * MIB),
}


@dataclass(frozen=True)
class SmallDisk:
    """One mounted file system; `fill` leaves this many bytes, `free` removes the filling."""

    folder: Path

    @property
    def free_bytes(self) -> int:
        return shutil.disk_usage(self.folder).free

    def fill(self, leave_bytes: int = 0) -> None:
        """Fill the disk while others write to it: it is full at the moment of return."""
        with (self.folder / FILLER).open("ab") as file:
            for step in (MIB, PAGE):
                while self.free_bytes - leave_bytes >= step and _grown(file.fileno(), step):
                    continue

    def free(self) -> None:
        (self.folder / FILLER).unlink(missing_ok=True)


def _grown(number: int, step: int) -> bool:
    try:
        os.posix_fallocate(number, os.fstat(number).st_size, step)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False
    return True


@dataclass(frozen=True)
class StackOnSmallDisks:
    """A running stack; `disks` are keyed by the name of the folder in its home."""

    stack: RunningStack
    disks: Mapping[str, SmallDisk]

    def fill(self, part: str, leave_bytes: int = 0) -> None:
        self.disks[part].fill(leave_bytes)

    def free(self, part: str) -> None:
        self.disks[part].free()


@pytest.fixture(scope="session")
def needs_small_disks() -> None:
    if reason := no_mounts_because():
        pytest.skip(reason)


@cache
def no_mounts_because() -> str | None:
    """Return why this machine permits no mounts; None if it does."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "small file systems need Linux and root to be mounted"
    with tempfile.TemporaryDirectory(prefix="vbatch-mount-") as folder:
        try:
            with small_disk(Path(folder), MIB):
                return None
        except (OSError, subprocess.CalledProcessError) as error:
            return f"no file system can be mounted here: {error}"


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[SmallDisk]:
    """Mount a file system on `folder`; it is removed afterwards with its contents."""
    options = f"size={size},mode=0711"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True, capture_output=True)
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)


@contextmanager
def stack_on_small_disks(
    models: Path | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[StackOnSmallDisks]:
    """Run a stack whose parts are on disks of their own, with matching watermarks."""
    with stack_home(models, {**WATERMARKS, **(environment or {})}) as prepared, moved_to_disks(prepared) as disks:
        stack = replace(prepared, stack=Stack(prepared.settings))  # its limits follow the disks it finds
        try:
            stack.stack.up()
            yield StackOnSmallDisks(stack, disks)
        finally:
            for disk in disks.values():
                disk.free()
            stack.stack.down()


@contextmanager
def moved_to_disks(prepared: RunningStack, sizes: Mapping[str, int] = PARTS) -> Iterator[dict[str, SmallDisk]]:
    """Mount folders of a home that is not started, each on a disk of its own."""
    programs.prepare(prepared.settings)  # what the first start creates moves onto the disks
    with ExitStack() as mounted:
        yield {part: mounted.enter_context(_moved(prepared.home / part, size)) for part, size in sizes.items()}


@contextmanager
def _moved(folder: Path, size: int) -> Iterator[SmallDisk]:
    """Move the contents of `folder` to a disk of its own, with their owner and mode."""
    folder.mkdir(exist_ok=True)
    aside = folder.with_name(f"{folder.name}.aside")
    folder.rename(aside)
    folder.mkdir()
    with small_disk(folder, size) as disk:
        subprocess.run(["cp", "-a", f"{aside}/.", str(folder)], check=True)
        shutil.rmtree(aside)
        yield disk
