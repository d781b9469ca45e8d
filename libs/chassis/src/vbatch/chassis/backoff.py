"""How long to wait before trying again after a failure that may pass."""


class Backoff:
    """Doubles the pause from `seconds_first` to `seconds_max`. Call `reset` after a success."""

    def __init__(self, seconds_first: float, seconds_max: float) -> None:
        self._first = self._next = seconds_first
        self._max = seconds_max

    def seconds(self) -> float:
        """Return the pause before the next try."""
        seconds, self._next = self._next, min(2 * self._next, self._max)
        return seconds

    def reset(self) -> None:
        self._next = self._first
