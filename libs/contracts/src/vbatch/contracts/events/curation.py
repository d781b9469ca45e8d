"""The events of curation: judgements of answers, and versions of data sets."""

from __future__ import annotations

from vbatch.contracts import limits
from vbatch.contracts.curation import (
    DatasetStatistics,
    EditedAnswer,
    JudgementSource,
    Note,
    Selection,
    Tags,
    Verdict,
    Vote,
)
from vbatch.contracts.events.base import Event
from vbatch.contracts.ids import BatchId, DatasetId, JudgementId, OwnerId


class CurationEvent(Event, frozen=True, kw_only=True):
    """The base of all events of judgements and data sets. It names their owner."""

    owner: OwnerId


class JudgementRecorded(CurationEvent, frozen=True, kw_only=True):
    """A judge says what one answer is worth: a verdict, a score from 1 to 5, tags, a note, a better text.

    The answer itself never changes: `edited` is kept beside it. `judge` names the judge, a person or a model;
    `reference` says where the judgement came from, in the terms of its source. `seconds` is the time it took.
    """

    judgement_id: JudgementId
    batch_id: BatchId
    line: int
    judge: limits.Word
    source: JudgementSource
    verdict: Verdict | None = None
    score: float | None = None
    tags: Tags = ()
    note: Note = ""
    edited: EditedAnswer | None = None
    seconds: float | None = None
    reference: limits.Word = ""


class AnswersCompared(CurationEvent, frozen=True, kw_only=True):
    """A judge says which of two answers is better: A is `(batch_id, line)`, B is the other one."""

    judgement_id: JudgementId
    batch_id: BatchId
    line: int
    other_batch_id: BatchId
    other_line: int
    vote: Vote
    judge: limits.Word
    source: JudgementSource
    note: Note = ""
    seconds: float | None = None
    reference: limits.Word = ""


class JudgementWithdrawn(CurationEvent, frozen=True, kw_only=True):
    """A judgement of an answer or of a pair no longer counts from here on. `by` withdrew it."""

    judgement_id: JudgementId
    batch_id: BatchId
    by: limits.Word


class DatasetVersionCreated(CurationEvent, frozen=True, kw_only=True):
    """A version of a data set exists and never changes. Its examples are in the blob store under `blob`, fsynced.

    It holds what the selection finds among the judgements up to `sequence` of the log.
    """

    dataset_id: DatasetId
    name: limits.Word
    version: int
    by: limits.Word
    sequence: int
    selection: Selection
    statistics: DatasetStatistics
    blob: limits.BlobName
    bytes: int
    sha256: limits.Word


class DatasetVersionDeleted(CurationEvent, frozen=True, kw_only=True):
    """The version can no longer be read. Its number is not used again."""

    dataset_id: DatasetId
    version: int
    by: limits.Word


AnyCurationEvent = (
    JudgementRecorded | AnswersCompared | JudgementWithdrawn | DatasetVersionCreated | DatasetVersionDeleted
)
