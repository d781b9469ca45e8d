"""An upload in parts: its parameters, its state after its events, and which parts make the file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from vbatch.contracts import events as e
from vbatch.contracts.ids import PartId, UploadId
from vbatch.gateway.core.files import uploads
from vbatch.gateway.core.refusals import Reason, Refusal, file_too_large, parts_unfit, type_invalid, upload_not_pending
from vbatch.gateway.core.shapes import bounded_string, expiry_seconds, integer, integer_between, json_object, string

PART_BYTES_MAX = 64 * 1024 * 1024
UPLOAD_BYTES_MAX = 8 * 1024 * 1024 * 1024
PARTS_MAX = 1_024
"""The most parts of one upload: eight gigabytes in parts of eight megabytes."""
UPLOAD_SECONDS = 3_600
MIME_TYPE_CHARS_MAX = 255
CREATE_REQUIRED = ("bytes", "filename", "mime_type", "purpose")
CREATE_OPTIONAL = ("expires_after",)
COMPLETE_REQUIRED = ("part_ids",)
COMPLETE_OPTIONAL = ("md5",)
_MD5 = re.compile(r"[0-9a-f]{32}")

UploadEvent = e.UploadCreated | e.UploadPartAdded | e.UploadCompleted | e.UploadCancelled | e.UploadPartsRemoved


class UploadStatus(StrEnum):
    PENDING = "pending"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class CreateUploadParams:
    """The well-formed parameters of a new upload; `file_expires_after_seconds` is None for a file that does not
    expire."""

    bytes: int
    filename: str
    mime_type: str
    purpose: str
    file_expires_after_seconds: int | None


@dataclass(frozen=True, slots=True)
class CompleteUploadParams:
    """Which parts make the file, in order; `md5` is the hex digest that the client expects of their bytes."""

    part_ids: tuple[PartId, ...]
    md5: str | None


@dataclass(frozen=True, slots=True)
class PartUpload:
    """An upload after its event at `sequence`. Its expiry is not an event: it follows from the time alone."""

    created: e.UploadCreated
    sequence: int
    parts: dict[PartId, e.UploadPartAdded] = field(default_factory=dict)
    end: e.UploadCompleted | e.UploadCancelled | None = None
    are_parts_removed: bool = False

    @property
    def id(self) -> UploadId:
        return self.created.upload_id

    def status(self, now: datetime) -> UploadStatus:
        match self.end:
            case e.UploadCompleted():
                return UploadStatus.COMPLETED
            case e.UploadCancelled():
                return UploadStatus.CANCELLED
            case None:
                return UploadStatus.PENDING if now < self.created.expires_at else UploadStatus.EXPIRED
            case _:
                assert_never(self.end)


def parse_create_upload(raw: bytes, batch_bytes_max: int = uploads.BATCH_FILE_BYTES_MAX) -> CreateUploadParams:
    """Parse a request body. Raises Refusal if a parameter is missing, unknown, malformed or out of bounds."""
    body = json_object(raw, required=CREATE_REQUIRED, optional=CREATE_OPTIONAL)
    purpose = uploads.known_purpose(string(body["purpose"], "purpose"))
    expires_after = expiry_seconds(body.get("expires_after"), "expires_after")
    return CreateUploadParams(
        bytes=_size(body["bytes"], purpose, batch_bytes_max),
        filename=uploads.clean_filename(string(body["filename"], "filename")),
        mime_type=bounded_string(string(body["mime_type"], "mime_type"), "mime_type", MIME_TYPE_CHARS_MAX),
        purpose=purpose,
        file_expires_after_seconds=expires_after or uploads.default_expiry(purpose),
    )


def parse_complete_upload(raw: bytes) -> CompleteUploadParams:
    """Parse a request body. Raises Refusal if a parameter is missing, unknown or malformed."""
    body = json_object(raw, required=COMPLETE_REQUIRED, optional=COMPLETE_OPTIONAL)
    part_ids = body["part_ids"]
    if not isinstance(part_ids, list):
        raise type_invalid("part_ids", "an array", part_ids)
    named = tuple(PartId(string(part_id, f"part_ids[{place}]")) for place, part_id in enumerate(part_ids))
    if not named or len(set(named)) < len(named):
        raise parts_unfit("Invalid 'part_ids': expected the id of at least one part, and each only once.")
    return CompleteUploadParams(named, _md5(body.get("md5")))


def fold(upload: PartUpload | None, event: UploadEvent, sequence: int) -> PartUpload | None:
    """Return the upload after one more event; None until its creation has been folded."""
    if isinstance(event, e.UploadCreated):
        return upload or PartUpload(event, sequence)
    if upload is None:
        return None
    match event:
        case e.UploadPartAdded():
            return replace(upload, sequence=sequence, parts={**upload.parts, event.part_id: event})
        case e.UploadCompleted() | e.UploadCancelled():
            return replace(upload, sequence=sequence, end=upload.end or event)
        case e.UploadPartsRemoved():
            return replace(upload, sequence=sequence, are_parts_removed=True)
        case _:
            assert_never(event)


def check_pending(upload: PartUpload, now: datetime) -> None:
    status = upload.status(now)
    if status is not UploadStatus.PENDING:
        raise upload_not_pending(status)


def check_room(upload: PartUpload, part_bytes: int) -> None:
    """Raises Refusal if the upload cannot take a part of this many bytes; parts that are not used later count, too."""
    if len(upload.parts) >= PARTS_MAX:
        raise parts_unfit(f"The Upload has {PARTS_MAX} parts and can take no more.", "data")
    if part_bytes > PART_BYTES_MAX:
        raise file_too_large()
    if part_bytes + sum(part.bytes for part in upload.parts.values()) > UPLOAD_BYTES_MAX:
        raise file_too_large()


def check_part(part_bytes: int) -> None:
    if part_bytes == 0:
        raise parts_unfit("The part is empty.", "data")


def chosen_parts(upload: PartUpload, part_ids: Sequence[PartId]) -> list[e.UploadPartAdded]:
    """Return the chosen parts in order. Raises Refusal if one is missing or their bytes differ from the announced
    number."""
    for part_id in part_ids:
        if part_id not in upload.parts:
            raise parts_unfit(f"No such UploadPart object: {part_id}")
    parts = [upload.parts[part_id] for part_id in part_ids]
    total, announced = sum(part.bytes for part in parts), upload.created.bytes
    if total != announced:
        raise parts_unfit(f"The parts have {total} bytes, but the Upload was created for {announced} bytes.")
    return parts


def check_md5(expected: str | None, found: str) -> None:
    if expected is not None and expected != found:
        raise parts_unfit(f"The md5 of the parts is {found}, but {expected} was expected.", "md5")


def is_same_completion(upload: PartUpload, params: CompleteUploadParams) -> bool:
    """Whether this same request completed the upload: the official client repeats a request that is not answered in
    time."""
    return isinstance(upload.end, e.UploadCompleted) and upload.end.part_ids == params.part_ids


def _size(value: object, purpose: str, batch_bytes_max: int) -> int:
    size = integer_between(integer(value, "bytes"), "bytes", 1, 2**63 - 1)
    if size > (batch_bytes_max if purpose == uploads.BATCH else UPLOAD_BYTES_MAX):
        raise file_too_large()
    return size


def _md5(value: object) -> str | None:
    if value is None:
        return None
    digest = string(value, "md5").lower()
    if not _MD5.fullmatch(digest):
        raise Refusal(Reason.VALUE_INVALID, "Invalid 'md5': expected 32 hexadecimal digits.", "md5")
    return digest
