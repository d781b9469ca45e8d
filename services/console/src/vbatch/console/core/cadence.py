"""How often a page is refreshed: soon after something happened, but rarely enough not to delay any batch."""

from __future__ import annotations

from dataclasses import dataclass

BUSY_FACTOR = 20.0
"""A refresh that took a second is followed by a pause of twenty, so that refreshing never takes a large part of the
machine."""


@dataclass(frozen=True, slots=True)
class Cadence:
    """The shortest and the longest pause between two refreshes, in seconds, and how many times as long as a refresh its
    pause is."""

    rest_seconds_min: float
    rest_seconds_max: float
    busy_factor: float = BUSY_FACTOR

    def rest_seconds(self, look_seconds: float) -> float:
        """Return the pause after a refresh that took `look_seconds`: slow answers mean that the machine has other
        work."""
        return min(self.rest_seconds_max, max(self.rest_seconds_min, look_seconds * self.busy_factor))


COUNTS = Cadence(0.12, 0.4, busy_factor=8.0)
"""One cheap question, which takes a few milliseconds of a processor: the numbers at the head of a batch. When it takes
long, it waited for the processors, so that a longer pause would save nothing and delay the numbers."""
PAGE = Cadence(0.4, 5.0)
DETAILS = Cadence(1.0, 60.0)
"""Questions that read every answer of a batch; meanwhile the numbers above show that the page is up to date."""
