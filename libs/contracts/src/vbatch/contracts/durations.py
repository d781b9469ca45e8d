"""Durations in words: exact for measured ones, rough for expected ones."""

from __future__ import annotations

MINUTE, HOUR, DAY = 60, 3600, 86_400


def duration(seconds: float) -> str:
    """Return a measured duration: `4.2 s`, `3 min 05 s`, `2 h 07 min`."""
    if seconds < MINUTE:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), MINUTE)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def rough_duration(seconds: float, *, shortest: str = "1 s") -> str:
    """Return at most two units: `40 s`, `3 min`, `2 h 5 min`, `3 days`. Below one second, return `shortest`."""
    if seconds < 1:
        return shortest
    if seconds < 2 * MINUTE:
        return f"{seconds:.0f} s"
    minutes = round(seconds / MINUTE)
    if minutes < 60:
        return f"{minutes} min"
    if seconds < 2 * DAY:
        return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"
    return f"{seconds / DAY:.0f} days"
