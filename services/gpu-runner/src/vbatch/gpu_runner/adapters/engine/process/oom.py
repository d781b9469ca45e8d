"""Counts the processes that the kernel killed for lack of memory: only its own counters tell."""

from __future__ import annotations

from pathlib import Path

COUNTERS = (
    Path("/sys/fs/cgroup/memory.events"),
    Path("/sys/fs/cgroup/memory/memory.oom_control"),
    Path("/proc/vmstat"),
)
"""The counters of our control group (version 2, version 1), or else of the whole machine."""


def oom_kill_count() -> int:
    """Return the number of OOM kills; 0 if no counter can be read."""
    for path in COUNTERS:
        try:
            lines = path.read_text().splitlines()
        except OSError:
            continue
        for name, _, value in (line.partition(" ") for line in lines):
            if name == "oom_kill":
                return int(value)
    return 0
