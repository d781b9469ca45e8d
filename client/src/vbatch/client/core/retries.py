"""How often a broken stream is opened again, and after which pause."""

from __future__ import annotations

RETRIES_MAX = 12
RETRY_SECONDS = 0.5
RETRY_SECONDS_MAX = 5.0


class Retries:
    """Counts the unsuccessful tries in a row."""

    def __init__(self, tries_max: int = RETRIES_MAX) -> None:
        self._failures = 0
        self._tries_max = tries_max

    def brought(self) -> None:
        """Record a success: the count begins again."""
        self._failures = 0

    def pause(self, trouble: Exception) -> float:
        """Return the seconds to wait before the next try. Raises the trouble after `tries_max` of them."""
        self._failures += 1
        if self._failures > self._tries_max:
            raise trouble
        return min(RETRY_SECONDS * self._failures, RETRY_SECONDS_MAX)
