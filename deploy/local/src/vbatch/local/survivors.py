"""Finds processes of a stack that outlived their supervisor, by their environment, and ends them by pid."""

import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

from vbatch.chassis.settings import STACK_VARIABLE

END_SECONDS_MAX = 15.0


def processes_of(home: Path) -> list[psutil.Process]:
    """Return every process that was started for the stack of `home`, and all children."""
    return [found for found in psutil.process_iter() if found.pid != psutil.Process().pid and _is_of(found, home)]


def end(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Terminate the processes, wait, and kill what is left. Return the processes that still did not end."""
    remaining = list(processes)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in remaining:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        _gone, remaining = psutil.wait_procs(remaining, timeout=END_SECONDS_MAX)
    return remaining


def resident_bytes(pid: int) -> int:
    """Return the memory of a process and all its children. Shared pages count once for each."""
    try:
        process = psutil.Process(pid)
        return sum(_resident_bytes(member) for member in [process, *process.children(recursive=True)])
    except psutil.NoSuchProcess:
        return 0


def _is_of(process: psutil.Process, home: Path) -> bool:
    try:
        return process.environ().get(STACK_VARIABLE) == str(home)
    except (psutil.Error, OSError):
        return _is_postgres_of(process, home)


def _is_postgres_of(process: psutil.Process, home: Path) -> bool:
    """Return whether the process is PostgreSQL of this home. It runs as another user, whose environment a restricted
    root may not read."""
    try:
        return "-D" in (line := process.cmdline()) and line[line.index("-D") + 1] == str(home / "postgres")
    except (psutil.Error, OSError, IndexError):
        return False


def _resident_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
