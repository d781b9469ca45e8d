"""How often a page is refreshed: soon after something happened, but rarely enough not to delay any batch."""

from __future__ import annotations

from dataclasses import dataclass

BUSY_FACTOR = 20.0
"""A refresh that took a second is followed by a pause of twenty, so that refreshing never takes a large part of the
machine."""


@dataclass(frozen=True, slots=True)
class Cadence:
    """The shortest and the longest pause between two refreshes, in seconds."""

    rest_seconds_min: float
    rest_seconds_max: float

    def rest_seconds(self, look_seconds: float) -> float:
        """Return the pause after a refresh that took `look_seconds`: slow answers mean that the machine has other
        work."""
        return min(self.rest_seconds_max, max(self.rest_seconds_min, look_seconds * BUSY_FACTOR))


COUNTS = Cadence(0.2, 5.0)
"""One cheap question: the numbers at the head of a batch."""
PAGE = Cadence(0.4, 5.0)
DETAILS = Cadence(1.0, 60.0)
"""Questions that read every answer of a batch; meanwhile the numbers above show that the page is up to date."""
