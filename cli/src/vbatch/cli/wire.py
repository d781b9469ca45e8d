"""What the gateway answers, as records: the parts a person is shown. `--json` prints the server's own bytes instead."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from vbatch.cli.exits import CommandError
from vbatch.contracts.lifecycle import BatchStatus


class Counts(msgspec.Struct, frozen=True):
    total: int = 0
    completed: int = 0
    failed: int = 0


class Fault(msgspec.Struct, frozen=True):
    """One entry of a failed batch's `errors.data`."""

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
    """Times are Unix seconds."""

    id: str
    status: BatchStatus
    endpoint: str
    created_at: int
    input_file_id: str
    model: str | None = None
    expires_at: int | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    request_counts: Counts = Counts()
    usage: Usage | None = None
    errors: Faults | None = None


class StoredFile(msgspec.Struct, frozen=True):
    id: str
    filename: str
    bytes: int


class Model(msgspec.Struct, frozen=True):
    id: str
    owned_by: str = ""


class BatchPage(msgspec.Struct, frozen=True):
    data: list[Batch]
    has_more: bool = False


class ModelList(msgspec.Struct, frozen=True):
    data: list[Model]


T = TypeVar("T")


def read(document: bytes, kind: type[T]) -> T:
    """The record in the server's answer. Raises CommandError when it is not what this server answers."""
    try:
        return msgspec.json.decode(document, type=kind)
    except msgspec.DecodeError as error:
        raise CommandError(
            f"The server's answer was not understood ({error}); is --url a vLLM Batch Server?"
        ) from error
