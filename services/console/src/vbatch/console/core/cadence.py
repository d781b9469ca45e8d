"""How often a page is looked at: soon after something happened, and rarely enough that nobody's batch waits for it."""

from __future__ import annotations

from dataclasses import dataclass

BUSY_FACTOR = 20.0
"""A look that took a second is followed by twenty of rest, so that looking never takes a large part of the machine."""


@dataclass(frozen=True, slots=True)
class Cadence:
    """The shortest and the longest rest between two looks, in seconds."""

    rest_seconds_min: float
    rest_seconds_max: float

    def rest_seconds(self, look_seconds: float) -> float:
        """How long to rest after a look that took `look_seconds`: slow answers mean that the machine has other work."""
        return min(self.rest_seconds_max, max(self.rest_seconds_min, look_seconds * BUSY_FACTOR))


COUNTS = Cadence(0.2, 5.0)
"""One cheap question: the figures at the head of a batch."""
PAGE = Cadence(0.4, 5.0)
DETAILS = Cadence(1.0, 60.0)
"""Questions that read every answer of a batch, below figures that show meanwhile that the page lives."""
