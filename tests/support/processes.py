"""Processes that may end while they are looked at."""

from __future__ import annotations

import psutil


def command_line(process: psutil.Process) -> list[str]:
    """Empty for a process that has ended since it was listed."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def children(process: psutil.Process) -> list[psutil.Process]:
    """All processes below it; none below a process that has ended since it was listed."""
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []
