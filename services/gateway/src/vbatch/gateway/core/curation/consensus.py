"""The combined judgement of an answer, or of a pair: each judge has one say, and the majority decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from vbatch.contracts.curation import Selection, Verdict, Vote
from vbatch.gateway.core.curation.judgements import AnswerKey, JudgementRecord

Word = TypeVar("Word", bound=str)

PairVotes = dict[tuple[AnswerKey, AnswerKey], dict[str, tuple[Vote, int]]]
"""By pair and judge: the vote, and the sequence of its event."""

OPPOSITE = {Vote.A: Vote.B, Vote.B: Vote.A, Vote.TIE: Vote.TIE}


@dataclass(frozen=True, slots=True)
class Say:
    """What one judge says of one answer: the newest verdict, score, edit and tags, from whichever judgement they
    come."""

    judge: str
    verdict: Verdict | None
    score: float | None
    tags: tuple[str, ...]
    edited: str | None
    sequence: int
    """The sequence of the newest of its judgements."""


@dataclass(frozen=True, slots=True)
class AnswerConsensus:
    """`verdict` is None if no judge gave one that counts; `edited` is the newest better answer."""

    answer: AnswerKey
    verdict: Verdict | None
    score: float | None
    tags: tuple[str, ...]
    edited: str | None
    says: tuple[Say, ...]

    @property
    def judges(self) -> tuple[str, ...]:
        return tuple(say.judge for say in self.says)

    @property
    def sequences(self) -> tuple[int, ...]:
        return tuple(say.sequence for say in self.says)


@dataclass(frozen=True, slots=True)
class PairConsensus:
    """Two answers, A first, and which of them the majority of their judges prefers."""

    a: AnswerKey
    b: AnswerKey
    vote: Vote
    judges: tuple[str, ...]
    sequences: tuple[int, ...]


def answers_judged(records: Sequence[JudgementRecord], selection: Selection) -> list[AnswerConsensus]:
    """Return every judged answer, in the order of batches and lines."""
    says: dict[AnswerKey, dict[str, Say]] = {}
    for record in records:
        if record.vote is None and _counts(record, selection):
            of_answer = says.setdefault(AnswerKey(record.batch_id, record.line), {})
            of_answer[record.judge] = _merged(of_answer.get(record.judge), record)
    keys = sorted(says, key=lambda key: (key.batch_id, key.line))
    return [_consensus(key, tuple(says[key].values()), selection) for key in keys]


def pairs_compared(records: Sequence[JudgementRecord], selection: Selection) -> list[PairConsensus]:
    """Return every compared pair, in the order of batches and lines. The order in which a pair was shown does not
    matter."""
    votes = votes_of_pairs(records, selection)
    keys = sorted(votes, key=lambda pair: (pair[0].batch_id, pair[0].line, pair[1].batch_id, pair[1].line))
    return [_pair(a, b, votes[(a, b)]) for a, b in keys]


def votes_of_pairs(records: Sequence[JudgementRecord], selection: Selection) -> PairVotes:
    """Return the newest vote of each judge about each pair. A is the answer that comes first by batch and line."""
    votes: PairVotes = {}
    for record in records:
        if record.vote is None or not _counts(record, selection):
            continue
        assert record.other_batch_id is not None and record.other_line is not None, "a comparison names both answers"
        a, b = AnswerKey(record.batch_id, record.line), AnswerKey(record.other_batch_id, record.other_line)
        is_turned = (b.batch_id, b.line) < (a.batch_id, a.line)
        vote = OPPOSITE[record.vote] if is_turned else record.vote
        votes.setdefault((b, a) if is_turned else (a, b), {})[record.judge] = (vote, record.sequence)
    return votes


def verdict_of(say: Say, selection: Selection) -> Verdict | None:
    """Return the verdict of a judge, or the verdict that its score stands for."""
    if say.verdict is not None or say.score is None:
        return say.verdict
    if say.score >= selection.good_score_min:
        return Verdict.GOOD
    return Verdict.BAD if say.score <= selection.bad_score_max else Verdict.UNSURE


def _counts(record: JudgementRecord, selection: Selection) -> bool:
    is_wanted_judge = not selection.judges or record.judge in selection.judges
    return is_wanted_judge and (not selection.sources or record.source in selection.sources)


def _merged(before: Say | None, record: JudgementRecord) -> Say:
    now = Say(record.judge, record.verdict, record.score, record.tags, record.edited, record.sequence)
    if before is None:
        return now
    return replace(
        now,
        verdict=before.verdict if now.verdict is None else now.verdict,
        score=before.score if now.score is None else now.score,
        tags=now.tags or before.tags,
        edited=before.edited if now.edited is None else now.edited,
    )


def _consensus(answer: AnswerKey, says: tuple[Say, ...], selection: Selection) -> AnswerConsensus:
    verdicts = [verdict for say in says if (verdict := verdict_of(say, selection)) is not None]
    scores = [say.score for say in says if say.score is not None]
    edits = [say for say in says if say.edited is not None]
    return AnswerConsensus(
        answer=answer,
        verdict=majority(verdicts, Verdict.UNSURE) if verdicts else None,
        score=sum(scores) / len(scores) if scores else None,
        tags=tuple(sorted({tag for say in says for tag in say.tags})),
        edited=max(edits, key=lambda say: say.sequence).edited if edits else None,
        says=says,
    )


def _pair(a: AnswerKey, b: AnswerKey, votes: dict[str, tuple[Vote, int]]) -> PairConsensus:
    vote = majority([vote for vote, _ in votes.values()], Vote.TIE)
    return PairConsensus(a, b, vote, tuple(votes), tuple(sequence for _, sequence in votes.values()))


def majority(values: Sequence[Word], otherwise: Word) -> Word:
    """Return the most frequent value; `otherwise` if two are equally frequent."""
    (first, most), *others = Counter(values).most_common(2)
    return otherwise if others and others[0][1] == most else first
