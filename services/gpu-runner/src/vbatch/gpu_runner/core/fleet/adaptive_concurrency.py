"""How many requests to keep inside a server whose capacity is unknown.

The size grows while throughput grows with it, and falls when the server refuses requests, or when latency has risen and
a smaller size brings the same throughput. By Little's law throughput is size / latency while the size is what limits,
so mean latencies alone show both. No measuring interval is needed, which the rhythm of a server's steps would blur.
"""

from __future__ import annotations

from enum import StrEnum

SIZE_MAX = 4_096
GROWTH_MAX = 16
"""The largest size, as a multiple of the first."""
ANSWERS_MIN, ANSWERS_MAX = 16, 512
"""The number of answers in one measurement: as many as there are requests inside, within these bounds."""
RISE, RISE_GAIN_MIN = 2.0, 1.25
"""While rising the size doubles as long as throughput grows by a quarter or more."""
MORE, MORE_GAIN_MIN = 1.25, 1.1
"""A trial of a larger size is kept if it brings nearly half of what it would bring on a server with room."""
LESS, LESS_GAIN_MIN = 0.8, 0.95
"""A trial of a smaller size is kept if it costs almost nothing; a server without a queue would answer a fifth less."""
HEADROOM = 1.25
"""How much larger than throughput x lowest latency the size may be, so that the server never waits for a request."""
QUEUED_MIN, DEEP_MIN = 1.3, 4.0
"""A smaller size is tried only if latency is this many times the lowest one seen; half the size if it is far higher."""
QUEUED_SECONDS_MIN = 0.25
"""A smaller size is tried only if requests take this long: where they take less, what they wait for may be the runner
itself, which is slower with few requests inside."""
HALF = 0.5
FORGETTING = 1.02
"""The lowest latency seen grows by this factor with each measurement: requests change."""
REFUSED = 0.85
"""The decrease after a refusal, from what was inside when the server refused."""
RECOVERY = 0.1
"""The increase with each measurement after a refusal, as a share of what the server took before."""
CEILING_MORE = 1.05
"""The size of a trial above what the server last refused, as a multiple."""
REST, REST_REFUSED = 2, 3
"""The measurements between two trials; a trial that the server refuses sends some requests twice."""
LESS_REST_MAX = 64
"""The most measurements between two trials of a smaller size: doubled after each that changed nothing."""
CHANGED = 2.0
"""Once latency is this many times what it was at the last trial of a smaller size, the next trial does not wait."""


class Phase(StrEnum):
    RISING = "rising"
    HOLDING = "holding"
    MORE = "more"
    """A trial of a larger size is running."""
    LESS = "less"


class AdaptiveConcurrency:
    """`size` is the number of requests to keep inside. Times are seconds of any one clock."""

    def __init__(self, start: int) -> None:
        self.size = max(1, start)
        self.phase = Phase.RISING
        self._size_max = min(SIZE_MAX, self.size * GROWTH_MAX)
        self._size_before, self._throughput_before = 0, 0.0
        """The size and throughput before the trial or the rise; if the throughput is 0, it is unknown."""
        self._ceiling: int | None = None
        """What the server took when it last refused more."""
        self._lowest_seconds = float("inf")
        self._has_seen_room = False
        """Whether the server had room at some size; if not, it may have had a queue all the time, and the lowest
        latency says nothing."""
        self._rested, self._less_rested, self._less_rest = 0, 0, REST
        self._less_seconds = 0.0
        """The latency before the last trial of a smaller size."""
        self._resized_at = self._refused_at = float("-inf")
        self._was_trial = False
        """Whether the last refusals ended a trial of a larger size."""
        self._to_skip = 0
        self._count, self._seconds, self._inside_max = 0, 0.0, 0

    def note_inside(self, inside: int) -> None:
        """Note how many requests are inside after one was sent: a size that was never reached tells nothing."""
        self._inside_max = max(self._inside_max, inside)

    def answered(self, sent_at: float, now: float) -> None:
        """Count one answer."""
        if self.phase is Phase.RISING and sent_at < self._resized_at:
            return  # a rise compares the first answers of each size, so that it is quick
        if self._is_above_ceiling(sent_at):
            self._ceiling = None  # it took more than it refused before
            self._try(int(self.size * RISE), 0.0, now, Phase.RISING)
            return
        if self._to_skip:
            self._to_skip -= 1  # a trial compares whole generations: the first answers are those of short requests
            return
        self._count += 1
        self._seconds += now - sent_at
        if self._count >= self._generation:
            if self._inside_max >= self.size:
                self._conclude(now)
            self._begin()

    def refused(self, sent_at: float, now: float, inside: int) -> None:
        """Note that the server had no room for a request while this one and `inside` - 1 others were inside."""
        taken = max(1, inside - 1)
        if sent_at <= self._refused_at:
            self._refused_together(taken)
            return
        self._refused_at = now
        self._was_trial = self.phase is Phase.MORE and self._size_before <= taken
        self._ceiling = self._size_before if self._was_trial else taken
        self._resize(self._ceiling if self._was_trial else int(taken * REFUSED), now, Phase.HOLDING)

    def _refused_together(self, taken: int) -> None:
        """Note one more refusal of the same burst. It only shows more exactly how many were too many; after a trial
        that is known."""
        if not self._was_trial:
            self._ceiling = min(self._ceiling or taken, taken)
            self.size = min(self.size, max(1, int(self._ceiling * REFUSED)))

    def _is_above_ceiling(self, sent_at: float) -> bool:
        is_trial = self.phase is Phase.MORE and self._ceiling is not None
        return is_trial and self._inside_max >= self.size and sent_at >= self._resized_at

    @property
    def _generation(self) -> int:
        return min(max(self.size, ANSWERS_MIN), ANSWERS_MAX)

    def _conclude(self, now: float) -> None:
        """Act on a complete measurement."""
        seconds = max(self._seconds / self._count, 1e-9)
        throughput = self.size / seconds
        self._lowest_seconds = min(self._lowest_seconds * FORGETTING, seconds)
        match self.phase:
            case Phase.RISING:
                self._rise(throughput, now)
            case Phase.HOLDING:
                self._hold(throughput, seconds, now)
            case Phase.MORE:
                self._judge_more(throughput, now)
            case Phase.LESS:
                self._judge_less(throughput, seconds, now)

    def _rise(self, throughput: float, now: float) -> None:
        has_gained = throughput >= self._throughput_before * RISE_GAIN_MIN
        self._has_seen_room |= has_gained and self._throughput_before > 0
        if not has_gained:
            self._resize(self._enough(throughput), now, Phase.HOLDING)
        elif self.size >= self._size_max:
            self._resize(self.size, now, Phase.HOLDING)
        else:
            self._try(int(self.size * RISE), throughput, now, Phase.RISING)

    def _hold(self, throughput: float, seconds: float, now: float) -> None:
        if self._ceiling is not None and self.size < self._ceiling:
            step = max(1, int(self._ceiling * RECOVERY))
            self._resize(min(self._ceiling, self.size + step), now, Phase.HOLDING)
            return
        self._rested, self._less_rested = self._rested + 1, self._less_rested + 1
        if self._rested < (REST if self._ceiling is None else REST_REFUSED):
            return
        if self._is_less_due(seconds):
            self._try_less(throughput, seconds, now)
        elif self.size < self._size_max:
            factor = MORE if self._ceiling is None else CEILING_MORE
            self._try(max(self.size + 1, int(self.size * factor)), throughput, now, Phase.MORE)

    def _judge_more(self, throughput: float, now: float) -> None:
        if throughput >= self._throughput_before * MORE_GAIN_MIN:
            self._try(int(self.size * RISE), throughput, now, Phase.RISING)
        else:
            self._resize(self._size_before, now, Phase.HOLDING)

    def _judge_less(self, throughput: float, seconds: float, now: float) -> None:
        is_as_good = throughput >= self._throughput_before * LESS_GAIN_MIN
        self._less_rested, self._less_rest = 0, REST if is_as_good else min(2 * self._less_rest, LESS_REST_MAX)
        self._has_seen_room |= not is_as_good
        if is_as_good and self._may_shrink(seconds):
            self._try_less(max(throughput, self._throughput_before), seconds, now)  # small losses must not add up
        else:
            self._resize(self.size if is_as_good else self._size_before, now, Phase.HOLDING)

    def _is_less_due(self, seconds: float) -> bool:
        """Whether to try a smaller size now: soon if the server has a queue or may have one, otherwise now and then,
        because requests become shorter."""
        if not self._may_shrink(seconds):
            return False
        is_queued = seconds > self._lowest_seconds * QUEUED_MIN
        has_changed = is_queued and seconds > self._less_seconds * CHANGED
        rest = self._less_rest if is_queued or not self._has_seen_room else LESS_REST_MAX
        return has_changed or self._less_rested >= rest

    def _may_shrink(self, seconds: float) -> bool:
        return self._ceiling is None and self.size > 1 and seconds > QUEUED_SECONDS_MIN

    def _try_less(self, throughput: float, seconds: float, now: float) -> None:
        self._less_seconds = seconds
        factor = HALF if seconds > self._lowest_seconds * DEEP_MIN else LESS
        self._try(int(self.size * factor), throughput, now, Phase.LESS)

    def _enough(self, throughput: float) -> int:
        """The size to keep after a larger one did not help: the size before, or the one that keeps this throughput if
        that is larger."""
        return max(self._size_before, min(self.size, int(throughput * self._lowest_seconds * HEADROOM)))

    def _try(self, size: int, throughput: float, now: float, phase: Phase) -> None:
        self._size_before, self._throughput_before = self.size, throughput
        self._resize(size, now, phase)

    def _resize(self, size: int, now: float, phase: Phase) -> None:
        inside = self.size
        self.size, self.phase = max(1, min(size, self._size_max)), phase
        self._resized_at, self._rested = now, 0
        self._to_skip = 0 if phase is Phase.RISING else max(inside, self.size)
        self._begin()

    def _begin(self) -> None:
        self._count, self._seconds, self._inside_max = 0, 0.0, 0
