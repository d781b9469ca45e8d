"""The objects of the API: their keys in wire order, all always present, null if unset. openapi.json describes them from
here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Generic, Literal, TypeVar

import msgspec
from pydantic import BaseModel

from vbatch.contracts.endpoints import TEXT_ENDPOINTS
from vbatch.contracts.events import NO_USAGE, BatchFault, Flaw, UploadCreated, UploadPartAdded, Usage
from vbatch.contracts.forecast import ForecastEntry
from vbatch.contracts.lifecycle import BatchStatus
from vbatch.gateway.core.files.part_uploads import UploadStatus
from vbatch.gateway.core.forecast_views import AdmissionObject, EtaObject, forecast_view
from vbatch.gateway.core.records import BatchRecord, FileRecord, ModelRecord

OWNED_BY = "vbatch"


class FileObject(BaseModel):
    object: Literal["file"] = "file"
    id: str
    purpose: str
    filename: str
    bytes: int
    created_at: int
    expires_at: int | None
    status: Literal["processed"] = "processed"
    status_details: None = None


class FileDeletedObject(BaseModel):
    object: Literal["file"] = "file"
    deleted: Literal[True] = True
    id: str


class UploadObject(BaseModel):
    """An upload in parts; the key `file` is present only once it is completed."""

    id: str
    object: Literal["upload"] = "upload"
    bytes: int
    created_at: int
    filename: str
    purpose: str
    status: UploadStatus
    expires_at: int


class CompletedUploadObject(UploadObject):
    file: FileObject


class UploadPartObject(BaseModel):
    id: str
    object: Literal["upload.part"] = "upload.part"
    created_at: int
    upload_id: str


class BatchErrorObject(BaseModel):
    code: str
    line: int | None
    message: str
    param: str | None


class BatchErrorsObject(BaseModel):
    object: Literal["list"] = "list"
    data: list[BatchErrorObject]


class RequestCountsObject(BaseModel):
    total: int
    completed: int
    failed: int


class InputTokensDetails(BaseModel):
    cached_tokens: int


class OutputTokensDetails(BaseModel):
    reasoning_tokens: int


class UsageObject(BaseModel):
    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens_details: OutputTokensDetails


class FlawObject(BaseModel):
    """How many answers have this flaw, and their share of all successful answers."""

    count: int
    share: float


class QualityObject(BaseModel):
    """What is wrong with successful answers, as far as it shows without reading them."""

    answers: int
    empty: FlawObject
    cut: FlawObject
    not_json: FlawObject
    refused: FlawObject
    repeating: FlawObject


class BatchObject(BaseModel):
    """OpenAI's 22 keys in the order it sends them, then ours."""

    id: str
    object: Literal["batch"] = "batch"
    endpoint: str
    model: str | None
    errors: BatchErrorsObject | None
    input_file_id: str
    completion_window: str
    status: BatchStatus
    output_file_id: str | None
    error_file_id: str | None
    created_at: int
    in_progress_at: int | None
    expires_at: int
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: RequestCountsObject
    usage: UsageObject
    metadata: dict[str, str] | None
    priority: int
    paused_at: int | None
    queue_position: int | None
    eta: EtaObject | None
    requests_per_second: float | None
    waiting_for: str | None
    admission: AdmissionObject | None
    retry_of: str | None
    fanout_id: str | None
    pause_on: dict[Flaw, float] | None
    quality: QualityObject | None


class ModelObject(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = OWNED_BY
    shutdown_date: None = None


Item = TypeVar("Item", FileObject, BatchObject)


class Page(BaseModel, Generic[Item]):
    object: Literal["list"] = "list"
    data: list[Item]
    first_id: str | None
    last_id: str | None
    has_more: bool


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelObject]


class ErrorBody(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorEnvelope(BaseModel):
    error: ErrorBody


class ErrorDetail(BaseModel):
    message: str
    code: str | None


class FileErrorEnvelope(ErrorEnvelope):
    """On the routes of files OpenAI sends the error twice; a server error is sent once."""

    detail: ErrorDetail | None = None


def page_json(ids: Sequence[str], objects: Sequence[str], *, has_more: bool) -> bytes:
    """Return a `Page` of objects that are already JSON, so that a long page is never held as objects."""
    first, last = (ids[0], ids[-1]) if ids else (None, None)
    data = [msgspec.Raw(each.encode()) for each in objects]
    return msgspec.json.encode(
        {"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": has_more}
    )


def file_view(file: FileRecord) -> FileObject:
    return FileObject(
        id=file.id,
        purpose=file.purpose,
        filename=file.filename,
        bytes=file.bytes,
        created_at=_seconds(file.created_at),
        expires_at=seconds_or_none(file.expires_at),
    )


def upload_view(created: UploadCreated, status: UploadStatus) -> UploadObject:
    return UploadObject(
        id=created.upload_id,
        bytes=created.bytes,
        created_at=_seconds(created.at),
        filename=created.filename,
        purpose=created.purpose,
        status=status,
        expires_at=_seconds(created.expires_at),
    )


def completed_upload_view(created: UploadCreated, file: FileRecord) -> CompletedUploadObject:
    upload = upload_view(created, UploadStatus.COMPLETED)
    return CompletedUploadObject(**upload.model_dump(), file=file_view(file))


def part_view(part: UploadPartAdded) -> UploadPartObject:
    return UploadPartObject(id=part.part_id, created_at=_seconds(part.at), upload_id=part.upload_id)


def model_view(model: ModelRecord) -> ModelObject:
    return ModelObject(id=model.id, created=_seconds(model.registered_at))


def batch_view(batch: BatchRecord, foreseen: ForecastEntry | None) -> BatchObject:
    """Build the object; `foreseen` is the scheduler's latest forecast for it, if there is one."""
    forecast = forecast_view(batch, foreseen)
    return BatchObject(
        id=batch.id,
        endpoint=batch.endpoint,
        model=batch.model or batch.asked_model,
        errors=_errors_view(batch.errors),
        input_file_id=batch.input_file_id,
        completion_window=batch.completion_window,
        status=batch.status,
        output_file_id=batch.output_file_id,
        error_file_id=batch.error_file_id,
        created_at=_seconds(batch.created_at),
        in_progress_at=seconds_or_none(batch.in_progress_at),
        expires_at=_seconds(batch.expires_at),
        finalizing_at=seconds_or_none(batch.finalizing_at),
        completed_at=seconds_or_none(batch.completed_at),
        failed_at=seconds_or_none(batch.failed_at),
        expired_at=seconds_or_none(batch.expired_at),
        cancelling_at=seconds_or_none(batch.cancelling_at),
        cancelled_at=seconds_or_none(batch.cancelled_at),
        request_counts=RequestCountsObject(
            total=batch.counts.total, completed=batch.counts.completed, failed=batch.counts.failed
        ),
        usage=usage_view(batch.usage if batch.is_over else NO_USAGE),
        metadata=batch.metadata,
        priority=batch.priority,
        paused_at=seconds_or_none(batch.paused_at),
        queue_position=forecast.queue_position,
        eta=forecast.eta,
        requests_per_second=forecast.requests_per_second,
        waiting_for=forecast.waiting_for,
        admission=forecast.admission,
        retry_of=batch.retry_of,
        fanout_id=batch.fanout_id,
        pause_on=batch.pause_on,
        quality=_quality_view(batch),
    )


def _quality_view(batch: BatchRecord) -> QualityObject | None:
    """Return None for a batch without an answer, or whose endpoint gives no text."""
    answers = batch.counts.completed
    if not answers or batch.endpoint not in TEXT_ENDPOINTS:
        return None
    counts = {flaw: batch.flaws.get(flaw, 0) for flaw in Flaw}
    shares = {flaw: FlawObject(count=count, share=round(count / answers, 4)) for flaw, count in counts.items()}
    return QualityObject(answers=answers, **shares)


def _errors_view(faults: Sequence[BatchFault] | None) -> BatchErrorsObject | None:
    if faults is None:
        return None
    return BatchErrorsObject(
        data=[
            BatchErrorObject(code=fault.code.value, line=fault.line, message=fault.message, param=fault.param)
            for fault in faults
        ]
    )


def usage_view(usage: Usage) -> UsageObject:
    return UsageObject(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        total_tokens=usage.input_tokens + usage.output_tokens,
        input_tokens_details=InputTokensDetails(cached_tokens=usage.cached_tokens),
        output_tokens_details=OutputTokensDetails(reasoning_tokens=usage.reasoning_tokens),
    )


def _seconds(at: datetime) -> int:
    return int(at.timestamp())


def seconds_or_none(at: datetime | None) -> int | None:
    return _seconds(at) if at is not None else None
