"""The server's objects as records, reduced to the fields that programs use. Times are Unix seconds."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from vbatch.client.errors import AnswerNotUnderstood, TableError
from vbatch.contracts.lifecycle import TERMINAL, BatchStatus


class Counts(msgspec.Struct, frozen=True):
    total: int = 0
    completed: int = 0
    failed: int = 0


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with a line of an input file, or with the file if there is no line."""

    message: str = ""
    code: str | None = None
    line: int | None = None
    param: str | None = None


class Faults(msgspec.Struct, frozen=True):
    data: list[Fault] = []


class Usage(msgspec.Struct, frozen=True):
    input_tokens: int = 0
    output_tokens: int = 0


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    status: BatchStatus
    endpoint: str
    input_file_id: str
    created_at: int
    expires_at: int | None = None
    completion_window: str = "24h"
    model: str | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    request_counts: Counts = Counts()
    usage: Usage | None = None
    errors: Faults | None = None
    metadata: dict[str, str] | None = None
    priority: int = 0

    @property
    def is_over(self) -> bool:
        return self.status in TERMINAL


class StoredFile(msgspec.Struct, frozen=True):
    id: str
    filename: str
    bytes: int


def must_have_run(batch: Batch) -> None:
    """Check that the batch ran. Raises TableError for a batch that failed, which has no answers."""
    if batch.status is not BatchStatus.FAILED:
        return
    faults = batch.errors.data if batch.errors else []
    reason = f"{_place(faults[0])}{faults[0].message}" if faults else "the server gave no reason."
    raise TableError(f"{batch.id} failed before any request ran: {reason}")


def _place(fault: Fault) -> str:
    return f"row {fault.line}: " if fault.line else ""


T = TypeVar("T")


def read(document: bytes, kind: type[T]) -> T:
    """Decode an answer. Raises AnswerNotUnderstood."""
    try:
        return msgspec.json.decode(document, type=kind)
    except msgspec.DecodeError as error:
        message = f"The server's answer was not understood ({error}); is this the URL of a vLLM Batch Server?"
        raise AnswerNotUnderstood(message) from error
