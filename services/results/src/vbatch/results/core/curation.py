"""The rows of judgements and data sets, and what each event makes of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import assert_never

import msgspec

from vbatch.contracts import events as e
from vbatch.contracts.curation import SCORE_MAX, SCORE_MIN
from vbatch.contracts.read_model.rows import storable
from vbatch.results.core.impossible_event import ImpossibleEvent

LINE_MAX = 2**31 - 1
"""The columns are 32 bits wide."""


class JudgementRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `judgement`; `tags` is JSON text. A comparison also sets `other_batch_id`, `other_line` and `vote`."""

    id: str
    sequence: int
    owner: str
    batch_id: str
    line: int
    other_batch_id: str | None = None
    other_line: int | None = None
    vote: str | None = None
    judge: str
    source: str
    verdict: str | None = None
    score: float | None = None
    tags: str = "[]"
    note: str = ""
    edited: str | None = None
    seconds: float | None = None
    reference: str = ""
    created_at: datetime


class DatasetVersionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `dataset_version`; `selection` and `statistics` are JSON text."""

    id: str
    sequence: int
    dataset_id: str
    owner: str
    name: str
    version: int
    made_by: str
    log_sequence: int
    selection: str
    statistics: str
    blob: str
    bytes: int
    sha256: str
    created_at: datetime


class LabelingRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `labeling`; `batch_ids` is JSON text."""

    id: str
    sequence: int
    owner: str
    title: str
    template: str
    batch_ids: str
    item_count: int
    requested_by: str
    project_id: int | None
    created_at: datetime


class EvaluationRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `evaluation`; `batch_ids` is JSON text. Its counts are those of the newest `evaluation.recorded`."""

    id: str
    sequence: int
    owner: str
    kind: str
    batch_ids: str
    judge_batch_id: str
    judge: str
    model: str
    rubric: str
    rubric_sha256: str
    item_count: int
    requested_by: str
    created_at: datetime


@dataclass(frozen=True)
class CurationChanges:
    """What one transaction writes. `withdrawals` and `deletions` are ids with the sequence of their event: each applies
    to a row of an earlier event only, so that a replay in transactions of another size gives the same rows."""

    judgements: dict[str, JudgementRow] = field(default_factory=dict)
    withdrawals: list[tuple[str, int]] = field(default_factory=list)
    datasets: dict[str, DatasetVersionRow] = field(default_factory=dict)
    deletions: list[tuple[str, int]] = field(default_factory=list)
    labelings: dict[str, LabelingRow] = field(default_factory=dict)
    links: list[tuple[str, int]] = field(default_factory=list)
    pushes: list[tuple[str, int]] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    evaluations: dict[str, EvaluationRow] = field(default_factory=dict)
    verdicts: list[e.EvaluationRecorded] = field(default_factory=list)


CurationLogEvent = e.AnyCurationEvent | e.AnyLabelingEvent | e.AnyEvaluationEvent


def project_curation(changes: CurationChanges, sequence: int, event: CurationLogEvent) -> None:
    """Add the event's rows to the changes. The first event of an id wins, so a repeated event counts once. Raises
    ImpossibleEvent."""
    match event:
        case e.JudgementRecorded():
            changes.judgements.setdefault(event.judgement_id, _judgement_row(sequence, event))
        case e.AnswersCompared():
            changes.judgements.setdefault(event.judgement_id, _comparison_row(sequence, event))
        case e.JudgementWithdrawn():
            changes.withdrawals.append((event.judgement_id, sequence))
        case e.DatasetVersionCreated():
            row = _dataset_row(sequence, event)
            changes.datasets.setdefault(row.id, row)
        case e.DatasetVersionDeleted():
            changes.deletions.append((version_id(event.dataset_id, event.version), sequence))
        case e.LabelingEvent():
            _project_labeling(changes, sequence, event)
        case e.EvaluationRequested():
            changes.evaluations.setdefault(event.evaluation_id, _evaluation_row(sequence, event))
        case e.EvaluationRecorded():
            changes.verdicts.append(event)
        case _:
            assert_never(event)


def _project_labeling(changes: CurationChanges, sequence: int, event: e.AnyLabelingEvent) -> None:
    match event:
        case e.LabelingRequested():
            changes.labelings.setdefault(event.labeling_id, _labeling_row(sequence, event))
        case e.ProjectLinked():
            changes.links.append((event.labeling_id, event.project_id))
        case e.TasksPushed():
            changes.pushes.append((event.labeling_id, event.pushed_count))
        case e.LabelingFailed():
            changes.failures.append((event.labeling_id, storable(event.reason)))
        case _:
            assert_never(event)


def version_id(dataset_id: str, version: int) -> str:
    return f"{dataset_id}:{version}"


def _judgement_row(sequence: int, event: e.JudgementRecorded) -> JudgementRow:
    _must_be_line(event.line)
    if event.score is not None and not SCORE_MIN <= event.score <= SCORE_MAX:
        raise ImpossibleEvent(f"score {event.score}")
    return JudgementRow(
        id=event.judgement_id,
        sequence=sequence,
        owner=event.owner,
        batch_id=event.batch_id,
        line=event.line,
        judge=event.judge,
        source=event.source.value,
        verdict=None if event.verdict is None else event.verdict.value,
        score=event.score,
        tags=msgspec.json.encode(event.tags).decode(),
        note=event.note,
        edited=event.edited,
        seconds=event.seconds,
        reference=event.reference,
        created_at=event.at,
    )


def _comparison_row(sequence: int, event: e.AnswersCompared) -> JudgementRow:
    _must_be_line(event.line)
    _must_be_line(event.other_line)
    return JudgementRow(
        id=event.judgement_id,
        sequence=sequence,
        owner=event.owner,
        batch_id=event.batch_id,
        line=event.line,
        other_batch_id=event.other_batch_id,
        other_line=event.other_line,
        vote=event.vote.value,
        judge=event.judge,
        source=event.source.value,
        note=event.note,
        seconds=event.seconds,
        reference=event.reference,
        created_at=event.at,
    )


def _dataset_row(sequence: int, event: e.DatasetVersionCreated) -> DatasetVersionRow:
    if not 0 < event.version <= LINE_MAX:
        raise ImpossibleEvent(f"version {event.version} of a data set")
    return DatasetVersionRow(
        id=version_id(event.dataset_id, event.version),
        sequence=sequence,
        dataset_id=event.dataset_id,
        owner=event.owner,
        name=event.name,
        version=event.version,
        made_by=event.by,
        log_sequence=event.sequence,
        selection=msgspec.json.encode(event.selection).decode(),
        statistics=msgspec.json.encode(event.statistics).decode(),
        blob=event.blob,
        bytes=event.bytes,
        sha256=event.sha256,
        created_at=event.at,
    )


def _labeling_row(sequence: int, event: e.LabelingRequested) -> LabelingRow:
    return LabelingRow(
        id=event.labeling_id,
        sequence=sequence,
        owner=event.owner,
        title=event.title,
        template=event.template.value,
        batch_ids=msgspec.json.encode(event.batch_ids).decode(),
        item_count=event.item_count,
        requested_by=event.by,
        project_id=event.project_id,
        created_at=event.at,
    )


def _evaluation_row(sequence: int, event: e.EvaluationRequested) -> EvaluationRow:
    if not 0 < event.item_count <= LINE_MAX:
        raise ImpossibleEvent(f"an evaluation of {event.item_count} items")
    return EvaluationRow(
        id=event.evaluation_id,
        sequence=sequence,
        owner=event.owner,
        kind=event.kind.value,
        batch_ids=msgspec.json.encode(event.batch_ids).decode(),
        judge_batch_id=event.judge_batch_id,
        judge=event.judge,
        model=event.model,
        rubric=event.rubric,
        rubric_sha256=event.rubric_sha256,
        item_count=event.item_count,
        requested_by=event.by,
        created_at=event.at,
    )


def _must_be_line(line: int) -> None:
    if not 0 < line <= LINE_MAX:
        raise ImpossibleEvent(f"line {line}")
