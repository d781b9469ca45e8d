"""Files that are complete or absent, and folders that have one owner. This module knows nothing of their content."""

import fcntl
import os
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class LockHeld(Exception):
    """Another live process holds the lock. The text names its pid."""


PRIVATE_UMASK = 0o077
CORE_BYTES_MAX = 1
"""A limit at which the kernel writes no core file (it is less than a page) and starts no program that takes the core
(`do_coredump` reserves this value for that; a limit of 0 applies to files only)."""


def keep_private() -> None:
    """From now on, other users cannot read anything that this process or its children create, from the moment it
    exists. Setting a mode afterwards would leave a gap. The memory, with its keys and prompts, is never dumped to disk
    in a crash. Every process of ours calls this first."""
    os.umask(PRIVATE_UMASK)
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    soft = CORE_BYTES_MAX if hard == resource.RLIM_INFINITY else min(CORE_BYTES_MAX, hard)
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def write_atomically(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Replace `path` with `content`. Readers and crashes see the old file or the new one, never a part."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    partial = Path(name)
    try:
        _write_durably(descriptor, content, mode)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _write_durably(descriptor: int, content: bytes, mode: int) -> None:
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` survive a power cut: a rename is durable only after this call."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def hold_lock(path: Path) -> Iterator[int]:
    """Hold an exclusive flock on `path` and yield its descriptor, which a child may inherit to hold it too.

    Raises LockHeld at once when another process holds it. The file stays: removing it would let two processes in.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(descriptor, path)
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
        raise LockHeld(f"{path} is held by the process with pid {holder}") from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
