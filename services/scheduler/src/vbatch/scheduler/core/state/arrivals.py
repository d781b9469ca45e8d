"""How much work arrives: the work, not known yet, that a forecast must expect to run before a long batch."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from statistics import median

REMEMBERED_MAX = 1_000
"""How many batches are remembered."""
SLOT_SECONDS, SLOTS = 1800.0, 8
"""Four hours in half hours: their median is not moved by a single burst."""
SLOTS_MIN = 2
"""Fewer slots than this do not allow a conclusion."""
LOAD_MAX = 0.8


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The latest batches: when each was ready to run, in seconds since 1970, and its work in device seconds."""

    recent: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=REMEMBERED_MAX))

    def add(self, at: float, work: float) -> None:
        self.recent.append((at, work))

    def load_of_shorter(self, work: float, now: float) -> float:
        """Seconds of work that recently arrived per second, from batches shorter than this."""
        if not self.recent:
            return 0.0
        slots = min(SLOTS, int((now - self.recent[0][0]) / SLOT_SECONDS))
        if slots < SLOTS_MIN:
            return 0.0
        sums = [0.0] * slots
        for at, other in reversed(self.recent):
            slot = int((now - at) / SLOT_SECONDS)
            if slot >= slots:
                break
            if other < work and slot >= 0:
                sums[slot] += other
        return min(LOAD_MAX, median(sums) / SLOT_SECONDS)
