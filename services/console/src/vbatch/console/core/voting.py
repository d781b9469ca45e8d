"""Votes between two batches: which answer is on which side, how the votes are counted, and how certain the result
is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

from vbatch.console.core.curation_objects import Judgement
from vbatch.contracts.curation import Vote

DECIDED_MIN = 30
"""With fewer decided votes no winner is named."""
NORMAL_95 = 1.959964
"""The two-sided 95 % quantile of the normal distribution."""
CHOICES = ("left", "right", "tie")
OTHER = {Vote.A: Vote.B, Vote.B: Vote.A, Vote.TIE: Vote.TIE}


@dataclass(frozen=True, slots=True)
class Tally:
    """The votes of a pair of batches."""

    first: int = 0
    second: int = 0
    ties: int = 0

    @property
    def decided(self) -> int:
        return self.first + self.second

    @property
    def count(self) -> int:
        return self.decided + self.ties


@dataclass(frozen=True, slots=True)
class Interval:
    """Shares from 0 to 1."""

    share: float
    low: float
    high: float


def is_swapped(batch_ids: tuple[str, str], line: int) -> bool:
    """Whether the second batch's answer is on the left. This is derived from the names, so that a page that is loaded
    again shows the same sides."""
    return hashlib.sha256(f"{batch_ids[0]}:{batch_ids[1]}:{line}".encode()).digest()[0] % 2 == 1


def vote_of(choice: str, *, swapped: bool) -> Vote:
    """Return what a choice among CHOICES means for the first batch (a) and the second (b)."""
    if choice == "tie":
        return Vote.TIE
    return Vote.A if (choice == "left") != swapped else Vote.B


def tally_of(votes: Iterable[Judgement], batch_ids: tuple[str, str]) -> Tally:
    """Count the votes. Each judge has one vote on a pair of answers, the newest; the pair may have been judged in the
    other order."""
    newest: dict[tuple[str, int], Vote] = {}
    for each in sorted(votes, key=lambda judgement: judgement.sequence):
        vote = _said_of(each, batch_ids)
        if vote is not None:
            newest[(each.judge, each.line)] = vote
    said = list(newest.values())
    return Tally(said.count(Vote.A), said.count(Vote.B), said.count(Vote.TIE))


def lines_voted(votes: Iterable[Judgement], batch_ids: tuple[str, str], judge: str) -> frozenset[int]:
    """Return the lines on which this judge has voted."""
    return frozenset(each.line for each in votes if each.judge == judge and _said_of(each, batch_ids) is not None)


def wilson(wins: int, decided: int) -> Interval | None:
    """Return the share of wins with its interval of 95 % (Wilson, 1927); None without a decided vote."""
    if not decided:
        return None
    share, square = wins / decided, NORMAL_95**2
    middle = (share + square / (2 * decided)) / (1 + square / decided)
    half = NORMAL_95 * sqrt(share * (1 - share) / decided + square / (4 * decided**2)) / (1 + square / decided)
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half))


def verdict_words(tally: Tally, names: tuple[str, str]) -> str:
    """Return a sentence that names a winner only if the votes decide one."""
    interval = wilson(tally.first, tally.decided)
    if interval is None:
        return "There are no votes yet."
    if tally.decided < DECIDED_MIN:
        return f"{tally.decided} of {DECIDED_MIN} decided votes: too few to name a winner."
    if interval.low > 0.5:
        return f"{names[0]} is better."
    return f"{names[1]} is better." if interval.high < 0.5 else "The votes do not tell them apart."


def _said_of(judgement: Judgement, batch_ids: tuple[str, str]) -> Vote | None:
    if judgement.vote is None or judgement.line != judgement.other_line:
        return None
    pair = (judgement.batch_id, judgement.other_batch_id)
    if pair == batch_ids:
        return judgement.vote
    return OTHER[judgement.vote] if pair == batch_ids[::-1] else None
