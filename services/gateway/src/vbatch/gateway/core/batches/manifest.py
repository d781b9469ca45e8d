"""The manifest of a batch: what it ran, on what, and with which result, so that it can be reproduced and cited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from vbatch.contracts.ids import FileId
from vbatch.contracts.manifest import EngineUse
from vbatch.gateway.core.records import BatchRecord
from vbatch.gateway.core.views import RequestCountsObject, UsageObject, seconds_or_none, usage_view


@dataclass(frozen=True, slots=True)
class FileDigest:
    """A file identified by its content; the file may be deleted."""

    id: FileId
    bytes: int
    sha256: str


class FileDigestObject(BaseModel):
    id: str
    bytes: int | None
    sha256: str | None


class EngineObject(BaseModel):
    """An engine that gave answers. A value that is not known is null, such as the digest of weights outside the hub's
    cache."""

    model: str
    engine: str | None
    source: str | None
    revision: str | None
    weights_sha256: str | None
    template_sha256: str | None
    sampling_defaults: str | None
    device: str
    memory_bytes: int
    runner_id: str
    settings: dict[str, str]


class ManifestObject(BaseModel):
    """The manifest is final once the batch has ended. Seeds and sampling parameters of requests are in the input
    file."""

    object: Literal["batch.manifest"] = "batch.manifest"
    batch_id: str
    is_final: bool
    status: str
    endpoint: str
    created_at: int
    ended_at: int | None
    retry_of: str | None
    fanout_id: str | None
    model: str | None
    input_file: FileDigestObject
    output_file: FileDigestObject | None
    error_file: FileDigestObject | None
    request_counts: RequestCountsObject
    usage: UsageObject
    engines: list[EngineObject]


def manifest_view(
    batch: BatchRecord, engines: Sequence[EngineUse], digests: Mapping[FileId, FileDigest]
) -> ManifestObject:
    ended_at = batch.completed_at or batch.failed_at or batch.expired_at or batch.cancelled_at
    return ManifestObject(
        batch_id=batch.id,
        is_final=batch.is_over,
        status=batch.status,
        endpoint=batch.endpoint,
        created_at=int(batch.created_at.timestamp()),
        ended_at=seconds_or_none(ended_at),
        retry_of=batch.retry_of,
        fanout_id=batch.fanout_id,
        model=batch.asked_model,
        input_file=_file_view(batch.input_file_id, digests),
        output_file=_file_view(batch.output_file_id, digests) if batch.output_file_id else None,
        error_file=_file_view(batch.error_file_id, digests) if batch.error_file_id else None,
        request_counts=RequestCountsObject(
            total=batch.counts.total, completed=batch.counts.completed, failed=batch.counts.failed
        ),
        usage=usage_view(batch.usage),
        engines=[_engine_view(use) for use in engines],
    )


def _file_view(file_id: FileId, digests: Mapping[FileId, FileDigest]) -> FileDigestObject:
    """Build the object; the digest is null for a file that never existed: a client may name any file as its input."""
    found = digests.get(file_id)
    if found is None:
        return FileDigestObject(id=file_id, bytes=None, sha256=None)
    return FileDigestObject(id=file_id, bytes=found.bytes, sha256=found.sha256)


def _engine_view(use: EngineUse) -> EngineObject:
    origin = use.origin
    return EngineObject(
        model=use.model,
        engine=origin.engine or None,
        source=origin.source or None,
        revision=origin.revision or None,
        weights_sha256=origin.weights_sha256 or None,
        template_sha256=origin.template_sha256 or None,
        sampling_defaults=origin.sampling_defaults or None,
        device=use.device,
        memory_bytes=use.memory_bytes,
        runner_id=use.runner_id,
        settings={setting.name: setting.value for setting in use.profile},
    )
