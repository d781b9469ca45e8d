"""How many requests to keep inside the engine: enough that it never waits for the next one, few enough that a cancel, a
better batch or another model is soon felt. It begins with a formula and follows what the engine counts itself."""

from __future__ import annotations

from dataclasses import dataclass

WINDOW_SPARE_MIN = 32
WAITING_MIN, WAITING_MAX = 8, 64
"""How many requests may wait inside the engine beside those that it runs: least and most."""
GROWTH_MAX = 2
"""The window at most, in windows of the formula: more than that the scheduler does not hand out."""
STEP_SECONDS = 0.1
"""Answers that come within this end in one step of the engine."""


def concurrency_for(max_num_seqs: int) -> int:
    """Where the window begins: what the engine runs at once, and some that wait."""
    return max_num_seqs + max(WINDOW_SPARE_MIN, max_num_seqs // 4)


@dataclass(frozen=True, slots=True)
class EngineStats:
    """What an engine says of itself: requests that run and that wait in it, how full its KV cache is (0 to 1)."""

    running: int
    waiting: int
    kv_share: float = 0.0


class ConcurrencyLimit:
    """`size` is the number to keep inside. Times are seconds of any one clock.

    As many requests must wait inside as end in two steps, or a step runs half empty: what is sent for the answers of
    one step arrives during the next. So it knows the largest such burst of this generation of requests, as many as are
    inside, and of the one before. Of the first generation it expects the worst: what began together may end together.
    """

    def __init__(self, start: int) -> None:
        self.size = start
        self._size_max = start * GROWTH_MAX
        self._running = 0  # at the last look
        self._burst, self._burst_before = 0, start
        self._answered = 0  # of this generation
        self._step_began = float("-inf")
        self._step_count = self._step_count_before = 0

    def answered(self, now: float) -> None:
        """One more answer came."""
        if now - self._step_began > STEP_SECONDS:
            self._step_began = now
            self._step_count, self._step_count_before = 0, self._step_count
        self._step_count += 1
        self._burst = max(self._burst, self._step_count_before + self._step_count)
        self.size = max(self.size, self._bounded(self._running + self._enough))
        self._answered += 1
        if self._answered > self.size:
            self._answered, self._burst, self._burst_before = 0, 0, self._burst

    def follow(self, load: EngineStats, inside: int) -> bool:
        """Adapt to the load that so many requests inside led to; whether the size is another one now.

        An engine that is short of room runs fewer than its limit, one at another's address may run more: only what
        waits in it tells.
        """
        self._running = load.running
        enough = self._enough
        too_many = max(WAITING_MAX, 2 * enough)
        if enough <= load.waiting <= too_many or inside < self.size:
            return False  # all is well, or there was no more to feed
        before = self.size
        self.size = self._bounded(inside - load.waiting + (enough + too_many) // 2)
        return self.size != before

    @property
    def _enough(self) -> int:
        return max(WAITING_MIN, min(max(self._burst, self._burst_before), self._running))

    def _bounded(self, size: int) -> int:
        return max(WAITING_MIN, min(size, self._size_max))
