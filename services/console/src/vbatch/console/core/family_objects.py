"""Objects of the API about batches that belong together, and about what made their answers."""

from __future__ import annotations

import msgspec

from vbatch.console.core.api_objects import Batch, Counts


class Fanout(msgspec.Struct, frozen=True):
    """One file on several models, each in a batch of its own; `request_counts` is their sum."""

    id: str
    created_at: int
    input_file_id: str
    models: tuple[str, ...]
    is_over: bool
    request_counts: Counts
    batches: tuple[Batch, ...]


class FileDigest(msgspec.Struct, frozen=True):
    id: str
    bytes: int | None
    sha256: str | None


class EngineUse(msgspec.Struct, frozen=True):
    """An engine that gave answers; a value that is not known is None."""

    model: str
    engine: str | None
    source: str | None
    revision: str | None
    weights_sha256: str | None
    template_sha256: str | None
    device: str
    runner_id: str


class Manifest(msgspec.Struct, frozen=True):
    is_final: bool
    input_file: FileDigest
    output_file: FileDigest | None
    error_file: FileDigest | None
    engines: tuple[EngineUse, ...]
