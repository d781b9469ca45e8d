"""A server in simulated time: so many requests at once, and the others wait in it or are refused."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from random import Random

from vbatch.gpu_runner.core.fleet.adaptive_concurrency import AdaptiveConcurrency

REFUSED_AGAIN_SECONDS = 0.01


@dataclass
class Served:
    """`capacity` tells at a time how many requests run at once; `size` is a fixed concurrency, by default an adaptive
    one is used. Requests take a second on average, spread by a log-normal distribution."""

    capacity: Callable[[float], int]
    refuses: bool = False
    spread: float = 0.5
    size: int | None = None
    start: int = 96
    seed: int = 1
    refused_count: int = 0
    _now: float = 0.0
    _inside: int = 0
    _running: int = 0
    _queue: deque[float] = field(default_factory=deque)
    _ends: list[tuple[float, int, float | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.adaptive = AdaptiveConcurrency(self.start)
        self._random = Random(self.seed)
        self._numbers = count()
        self._asks_later = False

    def answered_until(self, end: float) -> int:
        """Return how many requests were answered in this many seconds."""
        answered = 0
        self._fill()
        while self._ends and self._ends[0][0] <= end:
            self._now, _, sent_at = heapq.heappop(self._ends)
            if sent_at is None:
                self._asks_later = False
            else:
                answered += 1
                self._answer(sent_at)
            self._fill()
        return answered

    def _answer(self, sent_at: float) -> None:
        self._running, self._inside = self._running - 1, self._inside - 1
        self.adaptive.answered(sent_at, self._now)
        while self._queue and self._running < self.capacity(self._now):
            self._run(self._queue.popleft())

    def _fill(self) -> None:
        while self._inside < (self.size or self.adaptive.size):
            self.adaptive.note_inside(self._inside + 1)
            if self.refuses and self._running >= self.capacity(self._now):
                self.refused_count += 1
                self.adaptive.refused(self._now, self._now, self._inside + 1)
                return self._ask_later()
            self._inside += 1
            if self._running < self.capacity(self._now):
                self._run(self._now)
            else:
                self._queue.append(self._now)
        return None

    def _ask_later(self) -> None:
        if not self._asks_later:
            self._asks_later = True
            heapq.heappush(self._ends, (self._now + REFUSED_AGAIN_SECONDS, next(self._numbers), None))

    def _run(self, sent_at: float) -> None:
        self._running += 1
        seconds = self._random.lognormvariate(-self.spread * self.spread / 2, self.spread)
        heapq.heappush(self._ends, (self._now + seconds, next(self._numbers), sent_at))
