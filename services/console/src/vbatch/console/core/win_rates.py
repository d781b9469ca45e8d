"""How often each of several batches would win against the others, from votes on pairs: the model of Bradley and Terry.

A batch has a strength, and the odds that it wins against another are the ratio of their strengths (Bradley and Terry,
Rank Analysis of Incomplete Block Designs, 1952). A tie counts half for each side. The estimate exists only if no batch,
and no group of batches, only wins or only loses against the rest (Ford, 1957).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log, sqrt

from vbatch.console.core.voting import NORMAL_95, Interval

Table = Sequence[Sequence[float]]
"""`wins[i][j]` counts how often batch i won against batch j."""
ROUNDS_MAX = 5_000
CLOSE_ENOUGH = 1e-10
"""The relative change of a strength at which the estimate has converged."""


def win_rates(wins: Table) -> tuple[Interval, ...]:
    """Return for each batch the mean of its chances against the others, with an interval of 95 %; empty if the votes do
    not determine it."""
    if len(wins) < 2 or not _is_determined(wins):
        return ()
    chances = _chances(_strengths(wins))
    covariance = _inverse(_information(wins, chances))
    return tuple(_rate(place, chances, covariance) for place in range(len(wins)))


def _is_determined(wins: Table) -> bool:
    """Whether from each batch a chain of wins leads to each other one."""
    return all(len(_reached(wins, place)) == len(wins) for place in range(len(wins)))


def _reached(wins: Table, first: int) -> set[int]:
    found, waiting = {first}, [first]
    while waiting:
        place = waiting.pop()
        beaten = {other for other, count in enumerate(wins[place]) if count > 0 and other not in found}
        found |= beaten
        waiting += beaten
    return found


def _strengths(wins: Table) -> list[float]:
    """Return the most likely strengths, by the iteration of Hunter (MM Algorithms for Generalized Bradley-Terry Models,
    2004)."""
    places = range(len(wins))
    strengths = [1.0] * len(wins)
    for _ in range(ROUNDS_MAX):
        improved = [
            sum(wins[one])
            / sum(
                (wins[one][other] + wins[other][one]) / (strengths[one] + strengths[other])
                for other in places
                if other != one
            )
            for one in places
        ]
        scale = exp(sum(log(strength) for strength in improved) / len(wins))
        improved = [strength / scale for strength in improved]
        has_converged = all(abs(new / old - 1) < CLOSE_ENOUGH for new, old in zip(improved, strengths, strict=True))
        strengths = improved
        if has_converged:
            break
    return strengths


def _chances(strengths: Sequence[float]) -> list[list[float]]:
    """Return the chance of each batch against each other one."""
    return [[one / (one + other) for other in strengths] for one in strengths]


def _information(wins: Table, chances: Table) -> list[list[float]]:
    """Return the Fisher information of the logarithms of the strengths. One is added everywhere: only differences are
    determined, and those do not change by it, but the matrix can be inverted."""
    places = range(len(wins))
    weights = [
        [(wins[i][j] + wins[j][i]) * chances[i][j] * chances[j][i] if i != j else 0.0 for j in places] for i in places
    ]
    return [[1.0 + (sum(weights[i]) if i == j else -weights[i][j]) for j in places] for i in places]


def _inverse(matrix: Table) -> list[list[float]]:
    """Invert a positive definite matrix (Gauss and Jordan)."""
    size = len(matrix)
    rows = [[*row, *(float(i == j) for j in range(size))] for i, row in enumerate(matrix)]
    for place in range(size):
        pivot = rows[place][place]
        rows[place] = [value / pivot for value in rows[place]]
        for other in range(size):
            if other != place:
                factor = rows[other][place]
                rows[other] = [value - factor * head for value, head in zip(rows[other], rows[place], strict=True)]
    return [row[size:] for row in rows]


def _rate(place: int, chances: Table, covariance: Table) -> Interval:
    """Return the mean chance of one batch. Its interval is that of the logarithm of its odds, so it stays between 0 and
    1."""
    others = [other for other in range(len(chances)) if other != place]
    share = sum(chances[place][other] for other in others) / len(others)
    slopes = [-chances[place][other] * chances[other][place] / len(others) for other in range(len(chances))]
    slopes[place] = -sum(slopes[other] for other in others)
    variance = sum(a * b * covariance[i][j] for i, a in enumerate(slopes) for j, b in enumerate(slopes))
    odds, half = log(share / (1 - share)), NORMAL_95 * sqrt(variance) / (share * (1 - share))
    return Interval(share, 1 / (1 + exp(half - odds)), 1 / (1 + exp(-half - odds)))
