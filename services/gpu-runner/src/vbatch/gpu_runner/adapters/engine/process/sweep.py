"""Ends processes that an earlier process of this runner left behind because their guard was itself killed.

A process is touched only if its pid and its start time match the record, in this boot of the machine.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from vbatch.gpu_runner.adapters.engine.process.guard import boot_id, stat_fields

SWEEP_SECONDS_MAX = 5.0
GUARD_SECONDS_MAX = 2.0
"""How long to wait for a live guard: it is already ending the others, and sees processes that no record lists yet."""
SWEEP_PAUSE_SECONDS = 0.02
START_TICKS_FIELD = 19
STATE_FIELD = 0


class NotSwept(Exception):
    """Raised when leftover processes do not end; the device may still be in use."""


def sweep(folder: Path) -> list[int]:
    """Kill the processes recorded in `folder` and return their pids. Raises NotSwept if they do not end."""
    killed: list[int] = []
    for record in sorted(folder.glob("*.pids")):
        killed += sweep_record(record)
    return killed


def sweep_record(record: Path) -> list[int]:
    """Do the same as `sweep` for one record, if it exists."""
    if not record.exists():
        return []
    lines = record.read_text().splitlines()
    leftovers = _leftovers(lines)
    _end(leftovers, guard=int(lines[1].split()[0]) if leftovers else 0)
    record.unlink(missing_ok=True)
    return list(leftovers)


def is_running(pid: int, start_ticks: str) -> bool:
    """Whether exactly this process is still running; a zombie is not."""
    fields = stat_fields(pid)
    return bool(fields) and fields[START_TICKS_FIELD] == start_ticks and fields[STATE_FIELD] not in "ZX"


def _leftovers(lines: list[str]) -> dict[int, str]:
    """Return the start time of each recorded process that still runs, by pid."""
    if not lines or lines[0] != boot_id():
        return {}
    recorded = {int(pid): ticks for pid, ticks in (line.split() for line in lines[1:])}
    return {pid: ticks for pid, ticks in recorded.items() if is_running(pid, ticks)}


def _end(leftovers: dict[int, str], guard: int) -> None:
    """End the processes; `guard` is the first pid on record, running or not."""
    started = time.monotonic()
    living = leftovers
    while living := {pid: ticks for pid, ticks in living.items() if is_running(pid, ticks)}:
        waited = time.monotonic() - started
        if waited > SWEEP_SECONDS_MAX:
            raise NotSwept(f"processes {sorted(living)} of an earlier runner do not end")
        if guard not in living or waited > GUARD_SECONDS_MAX:
            for pid in living:
                _kill(pid)
        time.sleep(SWEEP_PAUSE_SECONDS)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
