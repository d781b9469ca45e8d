"""Decides when an engine that has work counts as dead although its process is running."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Watchdog:
    """The times of the last signs of life, in seconds of any one clock."""

    silence_seconds_max: float
    stall_seconds_max: float
    answered_at: float
    healthy_at: float
    moved_at: float
    _progress: str | None = None

    @classmethod
    def begin(cls, now: float, *, silence_seconds_max: float, stall_seconds_max: float) -> Watchdog:
        return cls(silence_seconds_max, stall_seconds_max, now, now, now)

    def saw_answer(self, now: float) -> None:
        """Record an answer; call it also while there is nothing to answer."""
        self.answered_at = now

    def saw_health(self, now: float) -> None:
        self.healthy_at = now

    def saw_progress(self, progress: str | None, now: float) -> None:
        """Record the engine's progress. An engine that reports none is never called stuck."""
        if progress is None or progress != self._progress:
            self.moved_at = now
        self._progress = progress

    def verdict(self, now: float) -> str | None:
        """Return why the engine counts as dead; None while it does not."""
        silent = now - max(self.answered_at, self.healthy_at)
        if silent >= self.silence_seconds_max:
            return f"the engine fell silent: no answer and no health for {silent:.0f} s"
        stuck = now - max(self.answered_at, self.moved_at)
        if stuck >= self.stall_seconds_max:
            return f"the engine is stuck: healthy, but no answer and no token for {stuck:.0f} s"
        return None
