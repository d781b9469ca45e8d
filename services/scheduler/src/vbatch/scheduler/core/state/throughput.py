"""How many answers per second a batch recently got."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

THROUGHPUT_SECONDS = 60.0
"""After this many seconds, an answer counts for a third."""
SEEN_SECONDS_MIN = 1.0
"""A rate over fewer seconds than this would be accidental."""


@dataclass(slots=True)
class Throughput:
    """Times are seconds since 1970. `began` is None until a request of the batch was sent to a device."""

    began: float | None = None
    at: float = 0.0
    answers: float = 0.0

    def begin(self, at: float) -> None:
        if self.began is None:
            self.began = self.at = at

    def add(self, answers: int, at: float) -> None:
        self.answers = self.answers * self._fade(at) + answers
        self.at = max(self.at, at)

    def by(self, now: float) -> float:
        """Answers per second: the faded sum over the faded time."""
        if self.began is None:
            return 0.0
        seen = THROUGHPUT_SECONDS * (1.0 - exp(-max(0.0, now - self.began) / THROUGHPUT_SECONDS))
        return self.answers * self._fade(now) / max(SEEN_SECONDS_MIN, seen)

    def _fade(self, now: float) -> float:
        return exp(-max(0.0, now - self.at) / THROUGHPUT_SECONDS)
