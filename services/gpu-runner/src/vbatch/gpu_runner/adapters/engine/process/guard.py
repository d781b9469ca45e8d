"""Stands between the runner and an engine, and leaves nothing of the engine behind, however the runner ends.

This is a script for `python -I -S`, with the standard library only. It adopts every process that the engine leaves
behind. It ends them all when its pipe from the runner closes, when it is told to, or when the engine itself ends, and
exits only when none is left. It records what it guards on disk, so that a sweep can end the processes if the guard
itself is killed. If the runner has ended, it also removes the engine's sockets, because the next runner takes seconds
to start; a live runner removes them itself.

    guard.py PIPE_FD RECORD_FILE SOCKET_FOLDER GRACE_SECONDS PROGRAM [ARGUMENT ...]
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import sys
import time
from collections.abc import Iterator

PR_SET_PDEATHSIG = 1  # linux/prctl.h
PR_SET_CHILD_SUBREAPER = 36
WATCH_SECONDS, WATCH_SECONDS_MAX = 0.25, 2.0
"""The pause between two scans for new processes. A scan reads all of /proc, so the pause doubles while none appear."""
KILL_PAUSE_SECONDS = 0.02
ORPHANED_GRACE_SECONDS = 0.5
"""The grace period of the engine when the runner has ended and nobody reads the engine's last output."""
NO_PROGRAM = 127


def main(arguments: list[str]) -> int:
    pipe, record, sockets, grace_seconds, *program = arguments
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    wake = wakeup_pipe()
    engine = start(program)
    code, grace = watch(engine, int(pipe), wake, Record(record), float(grace_seconds))
    end_all(grace)
    if grace == ORPHANED_GRACE_SECONDS:
        remove_sockets(sockets)
    Record(record).remove()
    return code


def start(program: list[str]) -> int:
    """Start the engine and return its pid; the kernel kills the engine when this guard ends."""
    guard = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == guard:
            os.execvp(program[0], program)
    except OSError as error:
        os.write(2, f"cannot start {program[0]}: {error}\n".encode())
    os._exit(NO_PROGRAM)


def watch(engine: int, pipe: int, wake: int, record: Record, grace_seconds: float) -> tuple[int, float]:
    """Wait until the engine ends or the runner asks for it; return its exit code and the others' grace period."""
    pause = WATCH_SECONDS
    while True:
        code = reap(engine)
        if code is not None:
            return code, 0.0
        pause = next_pause(pause, has_changed=record.write([os.getpid(), *descendants()]))
        ready, _, _ = select.select([pipe, wake], [], [], pause)
        if pipe in ready:
            asked = os.read(pipe, 1)
            return 0, grace_seconds if asked else ORPHANED_GRACE_SECONDS
        if wake in ready and signal.SIGTERM in os.read(wake, 64):
            return 0, ORPHANED_GRACE_SECONDS


def next_pause(pause: float, *, has_changed: bool) -> float:
    return WATCH_SECONDS if has_changed else min(2 * pause, WATCH_SECONDS_MAX)


def reap(engine: int) -> int | None:
    """Collect ended children; return the engine's exit code (128 + the signal that killed it) once it is among them."""
    code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if pid == 0:
            return code
        if pid == engine:
            exit_code = os.waitstatus_to_exitcode(status)
            code = exit_code if exit_code >= 0 else 128 - exit_code


def end_all(grace_seconds: float) -> None:
    """Send SIGTERM to all descendants, then SIGKILL; return when none is left."""
    deadline = time.monotonic() + grace_seconds
    if grace_seconds > 0:
        send_all(signal.SIGTERM)
    while has_children():
        if time.monotonic() >= deadline:
            send_all(signal.SIGKILL)
        time.sleep(KILL_PAUSE_SECONDS)


def remove_sockets(folder: str) -> None:
    """Remove the engine's folder with its sockets; an empty name means that there is none."""
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


def has_children() -> bool:
    """Whether any descendant is left: each becomes a child in the end, because this process adopts them."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def send_all(number: int) -> None:
    for pid in descendants():
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def descendants() -> list[int]:
    children: dict[int, list[int]] = {}
    for pid, parent in parents():
        children.setdefault(parent, []).append(pid)
    found: list[int] = []
    queue = [os.getpid()]
    while queue:
        nearest = children.get(queue.pop(), [])
        found += nearest
        queue += nearest
    return found


def parents() -> Iterator[tuple[int, int]]:
    for name in os.listdir("/proc"):
        if name.isdigit() and (fields := stat_fields(int(name))):
            yield int(name), int(fields[1])


def stat_fields(pid: int) -> list[str]:
    """Return fields 3 and later of /proc/PID/stat (proc(5)): state, parent, …; empty if the process has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].decode().split()
    except (FileNotFoundError, ProcessLookupError):
        return []


class Record:
    """Pids and start times on disk: the boot id of the machine, then one `pid start_ticks` a line."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.written: list[int] = []

    def write(self, pids: list[int]) -> bool:
        """Write the record; return whether the pids have changed."""
        if pids == self.written:
            return False
        lines = [f"{pid} {fields[19]}" for pid in pids if (fields := stat_fields(pid))]
        with open(self.path + ".new", "w") as file:
            file.write("\n".join([boot_id(), *lines]) + "\n")
        os.replace(self.path + ".new", self.path)
        self.written = pids
        return True

    def remove(self) -> None:
        if os.path.exists(self.path):
            os.unlink(self.path)


def boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def wakeup_pipe() -> int:
    """Return a descriptor that receives one byte per signal: its number."""
    readable, writable = os.pipe()
    for descriptor in (readable, writable):
        os.set_blocking(descriptor, False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    return readable


def prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, int(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
