"""How many requests to keep inside the engine: enough that it never waits for the next one, few enough that a cancel, a
better batch or another model takes effect soon. It starts with a formula and follows the engine's own counts."""

from __future__ import annotations

from dataclasses import dataclass

WINDOW_SPARE_MIN = 32
WAITING_MIN, WAITING_MAX = 8, 64
"""The least and the most requests that may wait inside the engine, beyond those that it runs."""
GROWTH_MAX = 2
"""The largest limit, as a multiple of the formula's result: the scheduler does not hand out more."""
STEP_SECONDS = 0.1
"""Answers that arrive within this time ended in one step of the engine."""


def concurrency_for(max_num_seqs: int) -> int:
    """Return the initial limit: the requests that the engine runs at once, and some that wait."""
    return max_num_seqs + max(WINDOW_SPARE_MIN, max_num_seqs // 4)


@dataclass(frozen=True, slots=True)
class EngineStats:
    """The engine's own stats: requests running, requests waiting, and the share of its KV cache in use (0 to 1)."""

    running: int
    waiting: int
    kv_share: float = 0.0


class ConcurrencyLimit:
    """`size` is the number of requests to keep inside. Times are seconds of any one clock.

    At least as many requests must wait inside as end in two steps, or a step runs half empty: a request sent in reply
    to the answers of one step arrives during the next. So the limit remembers the largest such burst of this generation
    (as many requests as are inside) and of the previous one. For the first generation it assumes the worst case:
    requests that started together may end together.
    """

    def __init__(self, start: int) -> None:
        self.size = start
        self._size_max = start * GROWTH_MAX
        self._running = 0  # when the stats were last read
        self._burst, self._burst_before = 0, start
        self._answered = 0  # in this generation
        self._step_began = float("-inf")
        self._step_count = self._step_count_before = 0

    def answered(self, now: float) -> None:
        """Count one more answer."""
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
        """Adapt to the load that `inside` requests caused; return whether the size has changed.

        An engine that is short of memory runs fewer requests than its limit, and a remote one may run more: only its
        waiting requests show it.
        """
        self._running = load.running
        enough = self._enough
        too_many = max(WAITING_MAX, 2 * enough)
        if enough <= load.waiting <= too_many or inside < self.size:
            return False  # the limit fits, or there was nothing more to feed
        before = self.size
        self.size = self._bounded(inside - load.waiting + (enough + too_many) // 2)
        return self.size != before

    @property
    def _enough(self) -> int:
        return max(WAITING_MIN, min(max(self._burst, self._burst_before), self._running))

    def _bounded(self, size: int) -> int:
        return max(WAITING_MIN, min(size, self._size_max))
