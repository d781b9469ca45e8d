"""Judgements as the API shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel

from vbatch.contracts.curation import JudgementSource, Verdict, Vote
from vbatch.gateway.core.curation.judgements import JudgementRecord


class JudgementObject(BaseModel):
    """What a judge said of one answer or of two; for two, `other_batch_id`, `other_line` and `vote` are set."""

    id: str
    object: Literal["judgement"] = "judgement"
    sequence: int
    batch_id: str
    line: int
    other_batch_id: str | None
    other_line: int | None
    vote: Vote | None
    judge: str
    source: JudgementSource
    verdict: Verdict | None
    score: float | None
    tags: list[str]
    note: str
    edited: str | None
    seconds: float | None
    reference: str
    created_at: int


class JudgementList(BaseModel):
    """To get the next page, pass `last_sequence` as `after`."""

    object: Literal["list"] = "list"
    data: list[JudgementObject]
    has_more: bool
    last_sequence: int | None


class JudgementWithdrawnObject(BaseModel):
    id: str
    object: Literal["judgement.withdrawn"] = "judgement.withdrawn"
    withdrawn: Literal[True] = True


def judgement_view(record: JudgementRecord) -> JudgementObject:
    return JudgementObject(
        id=record.id,
        sequence=record.sequence,
        batch_id=record.batch_id,
        line=record.line,
        other_batch_id=record.other_batch_id,
        other_line=record.other_line,
        vote=record.vote,
        judge=record.judge,
        source=record.source,
        verdict=record.verdict,
        score=record.score,
        tags=list(record.tags),
        note=record.note,
        edited=record.edited,
        seconds=record.seconds,
        reference=record.reference,
        created_at=int(record.created_at.timestamp()),
    )


def list_view(records: Sequence[JudgementRecord], limit: int) -> JudgementList:
    """Build the list; `records` holds one more than `limit` if there are more."""
    shown = records[:limit]
    return JudgementList(
        data=[judgement_view(record) for record in shown],
        has_more=len(records) > limit,
        last_sequence=shown[-1].sequence if shown else None,
    )
