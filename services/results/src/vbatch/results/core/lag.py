"""For how long the projection has been behind the log."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

LOOKS_MAX = 1_000
"""How many looks are remembered, which covers some hours. Beyond that, a new look replaces the newest; the oldest
stays."""


@dataclass(frozen=True, slots=True)
class Lag:
    """Measures lag from occasional looks at the head of the log; it is as exact as the looks are frequent."""

    _heads: deque[tuple[float, int]] = field(default_factory=deque)

    def seconds(self, now: float, head: int, sequence: int) -> float:
        """How long ago the log was first seen to hold more than `sequence`; 0 while the log does not hold more. `now`
        is in seconds of any clock that does not step."""
        if not self._heads or head > self._heads[-1][1]:
            self._remember(now, head)
        while self._heads and self._heads[0][1] <= sequence:
            self._heads.popleft()
        return now - self._heads[0][0] if self._heads else 0.0

    def _remember(self, now: float, head: int) -> None:
        if len(self._heads) >= LOOKS_MAX:
            self._heads.pop()
        self._heads.append((now, head))
