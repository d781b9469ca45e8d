"""Judgements and data sets in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
import msgspec

from vbatch.contracts.curation import DatasetStatistics, JudgementSource, Selection, Verdict, Vote
from vbatch.contracts.evaluations import EvaluationKind
from vbatch.contracts.ids import BatchId, DatasetId, EvaluationId, JudgementId, LabelingId, OwnerId
from vbatch.contracts.labeling import LabelingTemplate
from vbatch.contracts.lifecycle import TERMINAL
from vbatch.gateway.adapters.cooperative import map_cooperatively
from vbatch.gateway.adapters.postgres import PostgresReads
from vbatch.gateway.core.curation.datasets import DatasetRecord
from vbatch.gateway.core.curation.evaluations import EvaluationRecord
from vbatch.gateway.core.curation.judgements import AnsweredLine, JudgementRecord, JudgementsListParams
from vbatch.gateway.core.curation.labelings import LabelingRecord
from vbatch.gateway.core.records import BatchRecord

ANSWERED = """
    SELECT line, start, length FROM outcome
    WHERE batch_sequence = $1 AND line = ANY($2::integer[]) AND start + length <= $3
      AND status_code BETWEEN 200 AND 299
    ORDER BY line"""
JUDGEMENT_COLUMNS = """
    id, sequence, batch_id, line, other_batch_id, other_line, vote, judge, source, verdict, score, tags::text AS tags,
    note, edited, seconds, reference, created_at"""
NAMED = f"""
    SELECT {JUDGEMENT_COLUMNS} FROM judgement
    WHERE owner = $1 AND id = ANY($2::text[]) AND withdrawn_sequence IS NULL ORDER BY sequence"""
JUDGEMENTS = f"""
    SELECT {JUDGEMENT_COLUMNS} FROM judgement
    WHERE owner = $1 AND withdrawn_sequence IS NULL
      AND ($2::bigint IS NULL OR sequence %s $2)
      AND ($4::text IS NULL OR batch_id = $4 OR other_batch_id = $4)
      AND ($5::integer IS NULL OR line = $5 OR other_line = $5)
      AND ($6::text IS NULL OR judge = $6)
    ORDER BY sequence %s LIMIT $3"""
OLDEST_FIRST = JUDGEMENTS % (">", "ASC")
NEWEST_FIRST = JUDGEMENTS % ("<", "DESC")
UNTIL = f"""
    SELECT {JUDGEMENT_COLUMNS} FROM judgement
    WHERE owner = $1 AND sequence <= $3 AND (withdrawn_sequence IS NULL OR withdrawn_sequence > $3)
      AND (batch_id = ANY($2::text[]) AND (other_batch_id IS NULL OR other_batch_id = ANY($2::text[])))
    ORDER BY sequence"""

DATASETS = """
    SELECT dataset_id, name, version, made_by, log_sequence, selection::text AS selection,
           statistics::text AS statistics, blob, bytes, sha256, created_at
    FROM dataset_version
    WHERE owner = $1 AND deleted_sequence IS NULL AND ($2::text IS NULL OR name = $2)
    ORDER BY name, version DESC"""

ANSWERED_ALL = """
    SELECT line FROM outcome
    WHERE batch_sequence = $1 AND start + length <= $2 AND status_code BETWEEN 200 AND 299 ORDER BY line"""
LABELINGS = """
    SELECT id, title, template, batch_ids::text AS batch_ids, item_count, pushed_count, project_id, failure, created_at
    FROM labeling WHERE owner = $1 AND ($2::text IS NULL OR id = $2) ORDER BY sequence DESC LIMIT 1000"""

EVALUATIONS = """
    SELECT evaluation.id, kind, batch_ids::text AS batch_ids, judge_batch_id, judge, evaluation.model, rubric,
           rubric_sha256, item_count, done_count, judged_count, inconsistent_count, unanswered_count, cut_count,
           malformed_count, evaluation.created_at, coalesce(batch.status = ANY($3), false) AS is_judged
    FROM evaluation LEFT JOIN batch ON batch.id = judge_batch_id
    WHERE evaluation.owner = $1 AND ($2::text IS NULL OR evaluation.id = $2)
    ORDER BY evaluation.sequence DESC LIMIT 1000"""
ENDED = [status.value for status in TERMINAL]


class PostgresCurationReads:
    """Implements ports.CurationReads."""

    def __init__(self, reads: PostgresReads) -> None:
        self._reads = reads

    async def answered(self, batch: BatchRecord, lines: Sequence[int]) -> list[AnsweredLine]:
        rows = await self._reads.rows(ANSWERED, batch.sequence, list(lines), batch.partial_bytes)
        return [AnsweredLine(*row) for row in rows]

    async def judgements(self, owner: OwnerId, params: JudgementsListParams) -> list[JudgementRecord]:
        query = NEWEST_FIRST if params.is_newest_first else OLDEST_FIRST
        filters = (params.batch_id, params.line, params.judge)
        rows = await self._reads.rows(query, owner, params.after, params.limit + 1, *filters)
        return [_judgement(row) for row in rows]

    async def judgements_named(self, owner: OwnerId, ids: Sequence[JudgementId]) -> list[JudgementRecord]:
        return [_judgement(row) for row in await self._reads.rows(NAMED, owner, list(ids))]

    async def judgements_until(
        self, owner: OwnerId, batch_ids: Sequence[BatchId], sequence: int
    ) -> list[JudgementRecord]:
        rows = await self._reads.rows(UNTIL, owner, list(batch_ids), sequence)
        return await map_cooperatively(_judgement, rows)

    async def datasets(self, owner: OwnerId, name: str | None) -> list[DatasetRecord]:
        return await map_cooperatively(_dataset, await self._reads.rows(DATASETS, owner, name))

    async def answered_all(self, batch: BatchRecord) -> list[int]:
        return [row[0] for row in await self._reads.rows(ANSWERED_ALL, batch.sequence, batch.partial_bytes)]

    async def labelings(self, owner: OwnerId, labeling_id: LabelingId | None) -> list[LabelingRecord]:
        return [_labeling(row) for row in await self._reads.rows(LABELINGS, owner, labeling_id)]

    async def evaluations(self, owner: OwnerId, evaluation_id: EvaluationId | None) -> list[EvaluationRecord]:
        return [_evaluation(row) for row in await self._reads.rows(EVALUATIONS, owner, evaluation_id, ENDED)]


def _evaluation(row: asyncpg.Record) -> EvaluationRecord:
    return EvaluationRecord(
        id=EvaluationId(row["id"]),
        kind=EvaluationKind(row["kind"]),
        batch_ids=msgspec.json.decode(row["batch_ids"], type=tuple[str, ...]),
        judge_batch_id=BatchId(row["judge_batch_id"]),
        judge=row["judge"],
        model=row["model"],
        rubric=row["rubric"],
        rubric_sha256=row["rubric_sha256"],
        item_count=row["item_count"],
        done_count=row["done_count"],
        judged_count=row["judged_count"],
        inconsistent_count=row["inconsistent_count"],
        unanswered_count=row["unanswered_count"],
        cut_count=row["cut_count"],
        malformed_count=row["malformed_count"],
        is_judged=row["is_judged"],
        created_at=row["created_at"],
    )


def _labeling(row: asyncpg.Record) -> LabelingRecord:
    return LabelingRecord(
        id=LabelingId(row["id"]),
        title=row["title"],
        template=LabelingTemplate(row["template"]),
        batch_ids=msgspec.json.decode(row["batch_ids"], type=tuple[str, ...]),
        item_count=row["item_count"],
        pushed_count=row["pushed_count"],
        project_id=row["project_id"],
        failure=row["failure"],
        created_at=row["created_at"],
    )


def _dataset(row: asyncpg.Record) -> DatasetRecord:
    return DatasetRecord(
        dataset_id=DatasetId(row["dataset_id"]),
        name=row["name"],
        version=row["version"],
        made_by=row["made_by"],
        log_sequence=row["log_sequence"],
        selection=msgspec.json.decode(row["selection"], type=Selection),
        statistics=msgspec.json.decode(row["statistics"], type=DatasetStatistics),
        blob=row["blob"],
        bytes=row["bytes"],
        sha256=row["sha256"],
        created_at=row["created_at"],
    )


def _judgement(row: asyncpg.Record) -> JudgementRecord:
    other, vote, verdict = row["other_batch_id"], row["vote"], row["verdict"]
    return JudgementRecord(
        id=JudgementId(row["id"]),
        sequence=row["sequence"],
        batch_id=BatchId(row["batch_id"]),
        line=row["line"],
        other_batch_id=None if other is None else BatchId(other),
        other_line=row["other_line"],
        vote=None if vote is None else Vote(vote),
        judge=row["judge"],
        source=JudgementSource(row["source"]),
        verdict=None if verdict is None else Verdict(verdict),
        score=row["score"],
        tags=msgspec.json.decode(row["tags"], type=tuple[str, ...]),
        note=row["note"],
        edited=row["edited"],
        seconds=row["seconds"],
        reference=row["reference"],
        created_at=row["created_at"],
    )
