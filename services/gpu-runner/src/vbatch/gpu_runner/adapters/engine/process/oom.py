"""Whether the kernel has ended processes for want of memory: it tells nobody but its own counters."""

from __future__ import annotations

from pathlib import Path

COUNTERS = (
    Path("/sys/fs/cgroup/memory.events"),
    Path("/sys/fs/cgroup/memory/memory.oom_control"),
    Path("/proc/vmstat"),
)
"""Of our control group (version 2, version 1), else of the whole machine."""


def oom_kill_count() -> int:
    """How many there were; 0 where no counter can be read."""
    for path in COUNTERS:
        try:
            lines = path.read_text().splitlines()
        except OSError:
            continue
        for name, _, value in (line.partition(" ") for line in lines):
            if name == "oom_kill":
                return int(value)
    return 0
