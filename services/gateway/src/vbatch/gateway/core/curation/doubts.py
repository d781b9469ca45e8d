"""What a person should judge next: answers and pairs on which the judges differ, whose score is not decisive, or which
are unlike the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import assert_never

from vbatch.contracts.curation import Selection
from vbatch.gateway.core.curation.consensus import AnswerConsensus, answers_judged, verdict_of, votes_of_pairs
from vbatch.gateway.core.curation.judgements import AnswerKey, JudgementRecord

ItemKey = tuple[AnswerKey, ...]
"""One answer, or the two of a pair in the order of batch and line."""


class Order(StrEnum):
    """Which answers come first."""

    DRAWN = "drawn"
    """The answers that the seed draws."""
    DISAGREEMENT = "disagreement"
    """The answers on which the largest share of pairs of judges differ."""
    MARGIN = "margin"
    """The answers whose mean score is nearest to a score at which the verdict changes."""
    OUTLIER = "outlier"
    """The answers whose embeddings are farthest from those of the others."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """`disagreement` is the share of pairs of judges who differ, 0 to 1; `margin` is a distance between scores, None if
    no judge gave a score; `distance` is one between embeddings, None if there are none."""

    disagreement: float = 0.0
    margin: float | None = None
    score: float | None = None
    judge_count: int = 0
    distance: float | None = None


NO_DOUBT = Doubt()
Doubts = Mapping[ItemKey, Doubt]


def doubts_of(records: Sequence[JudgementRecord], selection: Selection) -> dict[ItemKey, Doubt]:
    """Return the doubt about every answer and every pair that has been judged."""
    found: dict[ItemKey, Doubt] = {
        (answer.answer,): _of_answer(answer, selection) for answer in answers_judged(records, selection)
    }
    for pair, votes in votes_of_pairs(records, selection).items():
        found[pair] = Doubt(disagreement([vote for vote, _ in votes.values()]), judge_count=len(votes))
    return found


def doubt_of(doubts: Doubts, keys: Sequence[AnswerKey]) -> Doubt:
    """Return the doubt about an answer or a pair, in whichever order the pair is given."""
    return doubts.get(tuple(sorted(keys, key=lambda key: (key.batch_id, key.line))), NO_DOUBT)


def is_doubtful(doubt: Doubt, order: Order) -> bool:
    """Whether the doubt has a value for this order."""
    match order:
        case Order.DRAWN:
            return True
        case Order.DISAGREEMENT:
            return doubt.disagreement > 0
        case Order.MARGIN:
            return doubt.margin is not None
        case Order.OUTLIER:
            return doubt.distance is not None
        case _:
            assert_never(order)


def urgency(doubt: Doubt, order: Order) -> float:
    """Return a sort key: the lowest comes first; items that no judge has judged come last."""
    match order:
        case Order.DRAWN:
            return 0.0
        case Order.DISAGREEMENT:
            return -doubt.disagreement
        case Order.MARGIN:
            return float("inf") if doubt.margin is None else doubt.margin
        case Order.OUTLIER:
            return float("inf") if doubt.distance is None else -doubt.distance
        case _:
            assert_never(order)


def disagreement(values: Sequence[str]) -> float:
    """Return the share of pairs of judges who differ; 0 for a single judge."""
    pairs = list(combinations(values, 2))
    return sum(one != other for one, other in pairs) / len(pairs) if pairs else 0.0


def _of_answer(answer: AnswerConsensus, selection: Selection) -> Doubt:
    verdicts = [verdict for say in answer.says if (verdict := verdict_of(say, selection)) is not None]
    return Doubt(disagreement(verdicts), _margin(answer.score, selection), answer.score, len(answer.says))


def _margin(score: float | None, selection: Selection) -> float | None:
    """Return the distance to the nearer threshold."""
    if score is None:
        return None
    return min(abs(score - selection.good_score_min), abs(score - selection.bad_score_max))
