"""How well judges agree: Cohen's kappa for two judges, Krippendorff's alpha for any number of judges with gaps.

J. Cohen, "A coefficient of agreement for nominal scales" (1960); K. Krippendorff, "Computing Krippendorff's
Alpha-Reliability" (2011), by its matrix of coincidences.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

Value = TypeVar("Value", bound=Hashable)
Distance = Callable[[Value, Value], float]


def nominal(one: Hashable, other: Hashable) -> float:
    """Return the distance of names: 0 or 1, for equal or different."""
    return float(one != other)


def interval(one: float, other: float) -> float:
    """Return the distance of scores."""
    return (one - other) ** 2


def cohen_kappa(pairs: Sequence[tuple[Value, Value]]) -> float | None:
    """Return kappa for two judges of the same items, given as pairs of values; None without items, or if all values are
    the same."""
    if not pairs:
        return None
    left, right = Counter(one for one, _ in pairs), Counter(other for _, other in pairs)
    total = len(pairs)
    observed = sum(one == other for one, other in pairs) / total
    expected = sum(left[value] * right[value] for value in left) / total**2
    return None if expected == 1 else (observed - expected) / (1 - expected)


def krippendorff_alpha(units: Sequence[Sequence[Value]], distance: Distance[Value]) -> float | None:
    """Return alpha for the values that each item got from any of its judges; items with one value contribute nothing.

    None if nothing can be compared, or if there is only one distinct value.
    """
    coincidences = _coincidences(units)
    totals = _totals(coincidences)
    paired = sum(totals.values())
    if paired <= 1:
        return None
    observed = sum(weight * distance(one, other) for (one, other), weight in coincidences.items())
    expected = sum(totals[one] * totals[other] * distance(one, other) for one in totals for other in totals) / (
        paired - 1
    )
    return None if expected == 0 else 1 - observed / expected


def _totals(coincidences: Mapping[tuple[Value, Value], float]) -> Mapping[Value, float]:
    found: dict[Value, float] = {}
    for (one, _), weight in coincidences.items():
        found[one] = found.get(one, 0.0) + weight
    return found


def _coincidences(units: Sequence[Sequence[Value]]) -> Mapping[tuple[Value, Value], float]:
    """Return how often each pair of values occurs on one item; an item with m values has weight 1 / (m - 1)."""
    found: dict[tuple[Value, Value], float] = {}
    for unit in units:
        if len(unit) < 2:
            continue
        counts = Counter(unit)
        for one, times in counts.items():
            for other, others in counts.items():
                together = times * (others - (one == other)) / (len(unit) - 1)
                found[(one, other)] = found.get((one, other), 0.0) + together
    return found
