"""A file, a batch and a model as the gateway knows them: from the read model, or from an event just written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from vbatch.contracts import events as e
from vbatch.contracts.ids import BatchId, FanoutId, FileId, ModelId
from vbatch.contracts.lifecycle import TERMINAL, BatchStatus
from vbatch.contracts.manifest import EngineUse

NO_COUNTS = e.RequestCounts(total=0, completed=0, failed=0)


@dataclass(frozen=True, slots=True)
class FileRecord:
    id: FileId
    purpose: str
    filename: str
    bytes: int
    blob: str
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRecord:
    """`sequence` is that of the event that created the batch, `version` that of the last event that changed it."""

    id: BatchId
    sequence: int
    version: int
    endpoint: str
    completion_window: str
    input_file_id: FileId
    status: BatchStatus
    created_at: datetime
    expires_at: datetime
    metadata: dict[str, str] | None = None
    output_expires_after_seconds: int | None = None
    model: ModelId | None = None
    errors: tuple[e.BatchFault, ...] | None = None
    output_file_id: FileId | None = None
    error_file_id: FileId | None = None
    in_progress_at: datetime | None = None
    finalizing_at: datetime | None = None
    completed_at: datetime | None = None
    failed_at: datetime | None = None
    expired_at: datetime | None = None
    cancelling_at: datetime | None = None
    cancelled_at: datetime | None = None
    priority: int = 0
    asked_priority: int = 0
    retry_of: BatchId | None = None
    fanout_id: FanoutId | None = None
    asked_model: ModelId | None = None
    pause_on: dict[e.Flaw, float] | None = None
    paused_at: datetime | None = None
    counts: e.RequestCounts = NO_COUNTS
    usage: e.Usage = e.NO_USAGE
    engines: tuple[EngineUse, ...] = ()
    flaws: Mapping[e.Flaw, int] = field(default_factory=dict)
    partial_bytes: int = 0
    partial_folder: str = ""

    @property
    def is_over(self) -> bool:
        return self.status in TERMINAL


@dataclass(frozen=True, slots=True)
class ModelRecord:
    id: ModelId
    registered_at: datetime


@dataclass(frozen=True, slots=True)
class OutcomePlace:
    """Where the output line of one input line is in the batch's growing JSONL."""

    line: int
    start: int
    length: int


def file_of(event: e.FileStored) -> FileRecord:
    return FileRecord(event.file_id, event.purpose, event.filename, event.bytes, event.blob, event.at, event.expires_at)


def batch_of(event: e.BatchCreated, sequence: int) -> BatchRecord:
    return BatchRecord(
        id=event.batch_id,
        sequence=sequence,
        version=sequence,
        endpoint=event.endpoint,
        completion_window=event.completion_window,
        input_file_id=event.input_file_id,
        status=BatchStatus.VALIDATING,
        created_at=event.at,
        expires_at=event.expires_at,
        metadata=event.metadata,
        output_expires_after_seconds=event.output_expires_after_seconds,
        priority=event.priority,
        asked_priority=event.priority,
        retry_of=event.retry_of,
        fanout_id=event.fanout_id,
        asked_model=event.model,
        pause_on=event.pause_on,
    )
