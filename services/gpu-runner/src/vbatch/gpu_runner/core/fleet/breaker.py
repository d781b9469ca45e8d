"""Keeps requests away from a replica that does not answer, and finds out when it does again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

LOSSES_MAX = 3
"""Lost connections in a row, without an answer between them, after which a replica counts as lost."""
PAUSE_MIN, PAUSE_MAX = 0.25, 5.0
"""Seconds between two probes of a lost replica; doubled after each that fails."""
TRIAL_SHARE = 0.25
"""The share of its concurrency that a lost replica gets once it answers probes again, until it answers a request."""


class BreakerState(StrEnum):
    CLOSED = "closed"
    """It takes requests."""
    OPEN = "open"
    """It is lost: it gets probes only."""
    HALF_OPEN = "half_open"
    """It was lost and answers probes again: it is tried with a few requests."""


@dataclass(slots=True)
class Breaker:
    """Open at first: a new replica must answer a probe. Times are seconds of any one clock."""

    state: BreakerState = BreakerState.OPEN
    _was_lost: bool = False
    _losses: int = 0
    _pause: float = PAUSE_MIN
    _probe_at: float = 0.0

    def answered(self) -> None:
        """Note that the replica answered a request."""
        self.state, self._losses, self._pause = BreakerState.CLOSED, 0, PAUSE_MIN

    def lost(self, now: float) -> None:
        """Note that a connection with a request on it was lost."""
        self._losses += 1
        if self._losses >= LOSSES_MAX or self.state is BreakerState.HALF_OPEN:
            self.trip(now)

    def trip(self, now: float) -> None:
        """Note that the replica takes no connection, or has been silent for too long."""
        if self.state is BreakerState.OPEN:
            return
        self._pause = min(2 * self._pause, PAUSE_MAX) if self.state is BreakerState.HALF_OPEN else PAUSE_MIN
        self.state, self._was_lost, self._probe_at = BreakerState.OPEN, True, now + self._pause

    def is_probe_due(self, now: float) -> bool:
        return self.state is BreakerState.OPEN and now >= self._probe_at

    def probed(self, now: float, *, is_healthy: bool) -> None:
        """Note the result of a probe of an open replica."""
        if self.state is not BreakerState.OPEN:
            return
        if is_healthy:
            self.state = BreakerState.HALF_OPEN if self._was_lost else BreakerState.CLOSED
            self._losses = 0
        else:
            self._pause = min(2 * self._pause, PAUSE_MAX)
            self._probe_at = now + self._pause
