"""Votes between batches: the next pair of answers that a judge has not compared, and the tally of the votes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from vbatch.console.core import reading_objects as reading
from vbatch.console.core.curation_objects import Judgement
from vbatch.console.core.judging import LOCAL_JUDGE
from vbatch.console.core.voting import Interval, Tally, is_swapped, lines_voted, tally_of
from vbatch.console.core.win_rates import win_rates
from vbatch.console.ports import Api

PAGE_LIMIT = "1000"
VOTE_PAGES_MAX = 10
LINE_PAGES_MAX = 20
"""At most this many pages of lines are searched for one without a vote; then the page offers to continue."""

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class PairTally:
    pair: Pair
    tally: Tally


@dataclass(frozen=True, slots=True)
class Ballot:
    """Two answers without names; `line` is None if no pair is left, or none was found up to `looked_to`."""

    pair: Pair
    line: reading.ComparedLine | None
    left: str
    right: str
    tally: Tally
    looked_to: int | None


async def votes_about(source: Api, batch_id: str) -> list[Judgement]:
    """Return the votes that count, on pairs with an answer of this batch; at most VOTE_PAGES_MAX pages, the newest."""
    votes: list[Judgement] = []
    query = {"batch_id": batch_id, "order": "desc", "limit": PAGE_LIMIT}
    for _ in range(VOTE_PAGES_MAX):
        page = await source.curation.judgements(query)
        votes += [each for each in page.data if each.vote is not None]
        if not page.has_more or page.last_sequence is None:
            break
        query |= {"after": str(page.last_sequence)}
    return votes


async def tallies(source: Api, batch_ids: Sequence[str]) -> list[PairTally]:
    """Return the tally of each pair, those with the first batch first."""
    pairs = list(combinations(batch_ids, 2))
    firsts = list(dict.fromkeys(first for first, _ in pairs))
    votes = dict(zip(firsts, await asyncio.gather(*(votes_about(source, each) for each in firsts)), strict=True))
    return [PairTally(pair, tally_of(votes[pair[0]], pair)) for pair in pairs]


def rates_of(batch_ids: Sequence[str], told: Sequence[PairTally]) -> dict[str, Interval]:
    """Return the win rate of each batch against the others; empty if the votes do not determine it."""
    places = {batch_id: place for place, batch_id in enumerate(batch_ids)}
    wins = [[0.0] * len(places) for _ in places]
    for each in told:
        first, second = (places[batch_id] for batch_id in each.pair)
        wins[first][second] += each.tally.first + each.tally.ties / 2
        wins[second][first] += each.tally.second + each.tally.ties / 2
    return dict(zip(batch_ids, win_rates(wins), strict=False))


async def ballot(source: Api, pair: Pair, after_line: int) -> Ballot:
    """Return the first pair of different answers after `after_line` that this visitor has not voted on."""
    votes, me = await asyncio.gather(votes_about(source, pair[0]), source.me())
    voted = lines_voted(votes, pair, me.key_id or LOCAL_JUDGE)
    found, looked_to = await _next_line(source, pair, voted, after_line)
    texts = _texts(found)
    left, right = reversed(texts) if found is not None and is_swapped(pair, found.line) else texts
    return Ballot(pair, found, left, right, tally_of(votes, pair), looked_to)


async def _next_line(
    source: Api, pair: Pair, voted: frozenset[int], after_line: int
) -> tuple[reading.ComparedLine | None, int | None]:
    query: Mapping[str, str] = {"batches": ",".join(pair), "only": "different", "after_line": str(after_line)}
    for _ in range(LINE_PAGES_MAX):
        page = await source.compared(query)
        open_lines = (each for each in page.data if each.line not in voted and all(_texts(each)))
        if (found := next(open_lines, None)) is not None:
            return found, None
        if not page.has_more or page.last_line is None:
            return None, None
        query = dict(query) | {"after_line": str(page.last_line)}
    return None, int(query["after_line"])


def _texts(line: reading.ComparedLine | None) -> tuple[str, str]:
    """Return the texts of both answers; empty for an answer that failed or has no text."""
    answers = line.answers if line is not None else (None, None)
    first, second = (each.text or "" if each is not None and each.succeeded else "" for each in answers)
    return first, second
