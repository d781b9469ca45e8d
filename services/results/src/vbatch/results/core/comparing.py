"""Finds where two texts of lines first differ."""

from __future__ import annotations


def differing_line(expected: bytes, found: bytes, lines_before: int = 0) -> int | None:
    """The 1-based line in which they first differ, when `lines_before` lines precede both; None when they are equal."""
    if expected == found:
        return None
    low, high = 0, min(len(expected), len(found))
    while low < high:  # the longest common prefix has at least `low` and at most `high` bytes
        middle = (low + high + 1) // 2
        low, high = (middle, high) if expected[:middle] == found[:middle] else (low, middle - 1)
    return lines_before + expected.count(b"\n", 0, low) + 1
