"""What the dead may not leave behind: processes, locks, sockets."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.support.paths import paths_below
from tests.support.stack import RunningStack
from vbatch.chassis.settings import STACK_VARIABLE

REMAINS_SECONDS_MAX = 2.0
POLL_SECONDS = 0.05
STATE_ENTRIES = Path("/proc/net/unix")
LOCKS = Path("/proc/locks")


def remains(stack: RunningStack) -> list[str]:
    """What is still there REMAINS_SECONDS_MAX after now, of processes that are no longer looked after."""
    deadline = time.monotonic() + REMAINS_SECONDS_MAX
    while (found := list(_found(stack))) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return found


def still_alive(doomed: list[psutil.Process]) -> list[psutil.Process]:
    """Those of them that run REMAINS_SECONDS_MAX after now; one that is dead and not yet collected does not."""
    _, left = psutil.wait_procs(doomed, timeout=REMAINS_SECONDS_MAX)
    return [process for process in left if not _is_dead(process)]


def _is_dead(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _found(stack: RunningStack) -> Iterator[str]:
    kept = _looked_after(stack)
    for process in psutil.process_iter():
        if process.pid not in kept and _is_of(process, stack.home):
            yield f"orphan: {process}"
    yield from _stale_locks(stack.home, kept)
    yield from _dead_sockets(stack.home)


def _looked_after(stack: RunningStack) -> set[int]:
    """Supervisord, this process, and all below them."""
    roots = [psutil.Process(), psutil.Process(stack.stack.status().supervisor_pid)]
    return {process.pid for root in roots for process in [root, *root.children(recursive=True)]}


def _is_of(process: psutil.Process, home: Path) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return process.environ().get(STACK_VARIABLE) == str(home) or str(home) in " ".join(process.cmdline())
    except (psutil.Error, OSError):
        return False


def _stale_locks(home: Path, kept: set[int]) -> Iterator[str]:
    """A lock lives as long as a process that has it open; one of a process that nobody looks after is stale."""
    locks = [path for path in paths_below(home) if path.name.endswith("lock")]
    places = {place: path for path in locks if (place := _place_of(path)) is not None}
    for line in LOCKS.read_text().splitlines():
        _number, *_kind, pid, place, _start, _end = line.replace("->", "").split()
        if place in places and int(pid) > 0 and int(pid) not in kept and psutil.pid_exists(int(pid)):
            yield f"lock: {places[place]} is held by {pid}"


def _place_of(path: Path) -> str | None:
    """As the kernel names it (proc_locks(5)): an inode's number alone is another file's on another file system. None
    for what is no file, or is gone: its owner may be removing it."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"


def _dead_sockets(home: Path) -> Iterator[str]:
    """Names of engine sockets on which nobody listens. They are looked for first: an engine may begin to listen now."""
    sockets = [path for path in paths_below(home / "run") if path.match("engine*.sock")]
    listening = {line.split()[-1] for line in STATE_ENTRIES.read_text().splitlines()}
    for path in sockets:
        if str(path) not in listening and path.exists():
            yield f"socket: {path} has no listener"
