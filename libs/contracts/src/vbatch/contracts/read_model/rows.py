"""The rows of the read model as values, one field for each column. Results writes them; the gateway reads parts of
them, and `columns` names these in its queries."""

from __future__ import annotations

from datetime import datetime

import msgspec

from vbatch.contracts import events as e
from vbatch.contracts.lifecycle import BatchStatus

OutcomeRow = tuple[
    int,
    int,
    int,
    int,
    str,
    int | None,
    str | None,
    int,
    int,
    float,
    int,
    str | None,
    str | None,
    int | None,
    bool | None,
    int | None,
]
"""A row of `outcome`; a bare tuple, because a million of them go straight into COPY."""

OUTCOME_COLUMNS = (
    "batch_sequence",
    "line",
    "start",
    "length",
    "custom_id",
    "status_code",
    "error_code",
    "input_tokens",
    "output_tokens",
    "seconds",
    "sequence",
    "model",
    "finish_reason",
    "text_chars",
    "is_json",
    "text_hash",
)


class FileRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    sequence: int
    owner: str
    purpose: str
    filename: str
    bytes: int
    sha256: str
    blob: str
    created_at: datetime
    expires_at: datetime | None
    batch_id: str | None


class BatchRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `batch`; `metadata`, `errors`, `pause_on`, `flaws` and `engines` are JSON text."""

    id: str
    sequence: int
    owner: str
    endpoint: str
    completion_window: str
    input_file_id: str
    metadata: str | None
    output_expires_after_seconds: int | None
    status: str = BatchStatus.VALIDATING.value
    ending: str | None = None
    model: str | None = None
    errors: str | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    created_at: datetime
    expires_at: datetime
    in_progress_at: datetime | None = None
    finalizing_at: datetime | None = None
    completed_at: datetime | None = None
    failed_at: datetime | None = None
    expired_at: datetime | None = None
    cancelling_at: datetime | None = None
    cancelled_at: datetime | None = None
    counting_ended_at: datetime | None = None
    priority: int = 0
    asked_priority: int = 0
    retry_of: str | None = None
    fanout_id: str | None = None
    asked_model: str | None = None
    pause_on: str | None = None
    paused_at: datetime | None = None
    total: int = 0
    completed: int = 0
    failed: int = 0
    last_line: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    flaws: str | None = None
    engines: str | None = None
    partial_bytes: int = 0
    first_outcome_at: datetime | None = None
    last_outcome_at: datetime | None = None
    version: int

    @property
    def is_counted(self) -> bool:
        """Whether counting is over. After that only the files and the status change."""
        return self.ending is not None

    @property
    def usage(self) -> e.Usage:
        return e.Usage(
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cached_tokens=self.cached_tokens,
            reasoning_tokens=self.reasoning_tokens,
        )

    @property
    def counts(self) -> e.RequestCounts:
        return e.RequestCounts(total=self.total, completed=self.completed, failed=self.failed)


class ModelRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `model`; `definition` is JSON text."""

    id: str
    definition: str
    registered_at: datetime
    removed_at: datetime | None = None


class RunnerRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `runner`; `profile` and `origin`, of the model loaded or loading, are JSON text."""

    id: str
    epoch: int
    state: str
    device: str
    memory_bytes: int
    model: str | None = None
    request_window: int = 0
    detail: str = ""
    since: datetime
    profile: str | None = None
    origin: str | None = None


def storable(text: str) -> str:
    """Return the text with U+FFFD for NUL, which PostgreSQL's text cannot hold. Output lines keep NUL."""
    return text.replace("\0", "\ufffd") if "\0" in text else text


def columns(row: type) -> str:
    """Return the fields of a row type, or of a part of one, as the columns of a SELECT whose records fill it by
    position."""
    return ", ".join(row.__annotations__)
