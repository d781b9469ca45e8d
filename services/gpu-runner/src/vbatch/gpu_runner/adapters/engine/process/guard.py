"""Stands between the runner and an engine, and leaves nothing of the engine behind, however the runner ends.

A script for `python -I -S`, standard library only. It adopts every process the engine leaves behind, ends them all when
its pipe from the runner closes, when it is told to, or when the engine itself ends, and exits only when none is left.
It keeps a list of what it guards on disk, for a sweep in case it is itself killed. Where the runner is gone it removes
the engine's sockets, too: the next runner takes seconds to come. A runner that lives does so itself.

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
"""Between two looks for new processes; a look reads all of /proc, so the pause doubles while none come."""
KILL_PAUSE_SECONDS = 0.02
ORPHANED_GRACE_SECONDS = 0.5
"""What the engine gets to end in when the runner is gone and nobody waits for its last words."""
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
    """The pid of the engine, which the kernel kills when this guard ends."""
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
    """Wait for the end of the engine or of the runner's wish; the exit code, and how long others may take to end."""
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
    """Collect what has ended; the engine's exit code once it is among them, 128 + the signal that killed it."""
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
    """Ask all descendants to end, then make them; return when there are none."""
    deadline = time.monotonic() + grace_seconds
    if grace_seconds > 0:
        send_all(signal.SIGTERM)
    while has_children():
        if time.monotonic() >= deadline:
            send_all(signal.SIGKILL)
        time.sleep(KILL_PAUSE_SECONDS)


def remove_sockets(folder: str) -> None:
    """With the folder, which is the engine's own; without a name there is none."""
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


def has_children() -> bool:
    """Every descendant becomes a child in the end: this process adopts them."""
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
    """Fields 3 and on of /proc/PID/stat (proc(5)): state, parent, …; empty when the process is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].decode().split()
    except (FileNotFoundError, ProcessLookupError):
        return []


class Record:
    """Pids and start times on disk, in one boot of the machine: `pid start_ticks` a line after the boot's id."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.written: list[int] = []

    def write(self, pids: list[int]) -> bool:
        """Whether these are others than before."""
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
    """A descriptor that gets one byte a signal, its number."""
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
