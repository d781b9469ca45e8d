"""How two engines are compared on a machine whose speed varies: they answer in turn, and only the ratio of two
neighbouring rounds counts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import median

PAIRS_MIN, PAIRS_MAX = 2, 6
CONTENDER_RATIO = 1.1
"""A point that is this many times slower than the chosen settings after PAIRS_MIN pairs is measured no further."""
ROUND_SECONDS = 5.0
"""Short rounds in turn: other programs then slow both engines down, and the median leaves out the rest."""
ROUND_REQUESTS_MIN = 16


@dataclass(frozen=True)
class Round:
    """Requests per second of one round, and the processor time that all processes of the engine took for a request."""

    rate: float
    cpu_seconds: float = 0.0


Measure = Callable[[int], Awaitable[Round]]
"""Answers this many requests with an engine that is ready."""


@dataclass(frozen=True)
class Pair:
    """Two rounds, one after the other."""

    chosen: Round
    point: Round

    @property
    def ratio(self) -> float:
        """How many times as fast the chosen settings are."""
        return self.chosen.rate / self.point.rate

    @property
    def cpu_ratio(self) -> float | None:
        """How many times as much processor time the point takes. Threads that wait for one another spin, so this
        contains waiting, too. None if it is not known."""
        return self.point.cpu_seconds / self.chosen.cpu_seconds if self.chosen.cpu_seconds else None


@dataclass(frozen=True)
class Comparison:
    """The device's choices beside one point of the grid. Without pairs the point's engine did not start or answer, and
    `fault` says why."""

    name: str
    pairs: tuple[Pair, ...] = ()
    start_seconds: float = 0.0
    fault: str = ""

    @property
    def ratio(self) -> float:
        return median(pair.ratio for pair in self.pairs)

    @property
    def cpu_ratio(self) -> float | None:
        ratios = [pair.cpu_ratio for pair in self.pairs if pair.cpu_ratio is not None]
        return median(ratios) if ratios else None

    @property
    def spread(self) -> float:
        """The largest ratio of a pair by the smallest."""
        ratios = [pair.ratio for pair in self.pairs]
        return max(ratios) / min(ratios)

    @property
    def point_rate(self) -> float:
        return median(pair.point.rate for pair in self.pairs)

    @property
    def chosen_rate(self) -> float:
        return median(pair.chosen.rate for pair in self.pairs)


async def pairs_of(chosen: Measure, point: Measure, requests: int, pairs_max: int = PAIRS_MAX) -> tuple[Pair, ...]:
    """Measure pairs, the other engine first in every second one."""
    sizes = await _size(chosen, requests), await _size(point, requests)
    pairs: list[Pair] = []
    while len(pairs) < min(PAIRS_MIN, pairs_max) or (len(pairs) < pairs_max and _may_win(pairs)):
        pairs.append(await _pair(chosen, point, sizes, is_point_first=len(pairs) % 2 == 1))
    return tuple(pairs)


def _may_win(pairs: list[Pair]) -> bool:
    """Whether the point may be as fast as the chosen settings, as far as these pairs say."""
    return median(pair.ratio for pair in pairs) < CONTENDER_RATIO


async def _pair(chosen: Measure, point: Measure, sizes: tuple[int, int], *, is_point_first: bool) -> Pair:
    if is_point_first:
        of_point = await point(sizes[1])
        return Pair(await chosen(sizes[0]), of_point)
    of_chosen = await chosen(sizes[0])
    return Pair(of_chosen, await point(sizes[1]))


async def _size(measure: Measure, requests: int) -> int:
    """The requests of one round: fewer for an engine that would take much longer than ROUND_SECONDS."""
    first = await measure(min(ROUND_REQUESTS_MIN, requests))
    affordable = 2 * first.rate * ROUND_SECONDS  # a full engine is faster than this first look says
    return max(min(ROUND_REQUESTS_MIN, requests), min(requests, int(affordable)))


def best_ratio(ratios: Sequence[float]) -> float | None:
    """The chosen settings beside the best of a grid: 1.0 if no point is better; None if nothing was measured."""
    return min(1.0, *ratios) if ratios else None
