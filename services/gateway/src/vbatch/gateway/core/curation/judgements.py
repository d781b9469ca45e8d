"""Judgements of answers, and the events that record them."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from vbatch.contracts import events as e
from vbatch.contracts.curation import JudgementSource, Verdict, Vote
from vbatch.contracts.ids import BatchId, JudgementId, OwnerId
from vbatch.gateway.core.refusals import Reason, Refusal

LIST_DEFAULT = 100

JudgementEvent = e.JudgementRecorded | e.AnswersCompared


@dataclass(frozen=True, slots=True)
class AnswerKey:
    """One answer, named by the batch and the line of its request."""

    batch_id: BatchId
    line: int


@dataclass(frozen=True, slots=True)
class AnsweredLine:
    """A line with an answer of status 2xx, and where its output line is in the growing JSONL."""

    line: int
    start: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What is said of one answer."""

    answer: AnswerKey
    verdict: Verdict | None = None
    score: float | None = None
    tags: tuple[str, ...] = ()
    note: str = ""
    edited: str | None = None
    seconds: float | None = None
    reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What is said of two answers: `answer` is A, `other` is B."""

    answer: AnswerKey
    other: AnswerKey
    vote: Vote
    note: str = ""
    seconds: float | None = None
    reference: str = ""


@dataclass(frozen=True, slots=True)
class JudgementsParams:
    """`judge` is None if the caller judges under its own name."""

    said: tuple[Opinion | Comparison, ...]
    judge: str | None
    source: JudgementSource

    @property
    def answers(self) -> list[AnswerKey]:
        """Every answer that is judged, each once."""
        keys = [key for each in self.said for key in answers_of(each)]
        return list(dict.fromkeys(keys))


@dataclass(frozen=True, slots=True)
class JudgementsListParams:
    """At most `limit` judgements that count, after or before sequence `after`."""

    after: int | None = None
    limit: int = LIST_DEFAULT
    is_newest_first: bool = False
    batch_id: str | None = None
    line: int | None = None
    judge: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgementRecord:
    """A judgement as the read model holds it."""

    id: JudgementId
    sequence: int
    batch_id: BatchId
    line: int
    other_batch_id: BatchId | None
    other_line: int | None
    vote: Vote | None
    judge: str
    source: JudgementSource
    verdict: Verdict | None
    score: float | None
    tags: tuple[str, ...]
    note: str
    edited: str | None
    seconds: float | None
    reference: str
    created_at: datetime


def answers_of(said: Opinion | Comparison) -> tuple[AnswerKey, ...]:
    return (said.answer, said.other) if isinstance(said, Comparison) else (said.answer,)


def judgement_event(
    said: Opinion | Comparison,
    judgement_id: JudgementId,
    *,
    owner: OwnerId,
    judge: str,
    source: JudgementSource,
    at: datetime,
) -> JudgementEvent:
    match said:
        case Opinion():
            return e.JudgementRecorded(
                at=at,
                judgement_id=judgement_id,
                owner=owner,
                batch_id=said.answer.batch_id,
                line=said.answer.line,
                judge=judge,
                source=source,
                verdict=said.verdict,
                score=said.score,
                tags=said.tags,
                note=said.note,
                edited=said.edited,
                seconds=said.seconds,
                reference=said.reference,
            )
        case Comparison():
            return e.AnswersCompared(
                at=at,
                judgement_id=judgement_id,
                owner=owner,
                batch_id=said.answer.batch_id,
                line=said.answer.line,
                other_batch_id=said.other.batch_id,
                other_line=said.other.line,
                vote=said.vote,
                judge=judge,
                source=source,
                note=said.note,
                seconds=said.seconds,
                reference=said.reference,
            )
        case _:
            assert_never(said)


def must_be_answered(answer: AnswerKey, answered: Set[int]) -> None:
    """Raises Refusal for a line without an answer."""
    if answer.line not in answered:
        words = f"Line {answer.line} of {answer.batch_id} has no answer that can be judged."
        raise Refusal(Reason.VALUE_INVALID, words, "line")


def no_such_judgement(judgement_id: str) -> Refusal:
    return Refusal(Reason.NO_SUCH_JUDGEMENT, f"No judgement found with id '{judgement_id}'.", "judgement_id")
