"""The distribution of values over fixed bounds: the data of a Prometheus histogram, without a client library."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import accumulate


@dataclass(slots=True)
class Distribution:
    """`bounds` rise and are inclusive, as Prometheus defines `le`; values above the last one count, too."""

    bounds: tuple[float, ...]
    total: float = 0.0
    """The sum of all values."""
    _counts: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self._counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulative(self) -> list[tuple[str, int]]:
        """Each bound as text with the number of values up to it; `+Inf` at the end."""
        names = [*(str(bound) for bound in self.bounds), "+Inf"]
        return list(zip(names, accumulate(self._counts), strict=True))
