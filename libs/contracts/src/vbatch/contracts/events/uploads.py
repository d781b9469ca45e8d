"""The events of uploads in parts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from vbatch.contracts import limits
from vbatch.contracts.bounds import Items
from vbatch.contracts.events.base import Event
from vbatch.contracts.ids import FileId, OwnerId, PartId, UploadId


class UploadEvent(Event, frozen=True, kw_only=True):
    """The fields that all events of an upload share."""


class UploadCreated(UploadEvent, frozen=True, kw_only=True):
    """A file of `bytes` bytes will arrive in parts. No part is accepted after `expires_at`."""

    upload_id: UploadId
    owner: OwnerId
    bytes: int
    filename: limits.Filename
    mime_type: limits.MimeType
    purpose: limits.Word
    expires_at: datetime
    file_expires_after_seconds: int | None = None


class UploadPartAdded(UploadEvent, frozen=True, kw_only=True):
    """The bytes of a part are in the blob store under `blob`, fsynced."""

    upload_id: UploadId
    part_id: PartId
    bytes: int
    blob: limits.BlobName


class UploadCompleted(UploadEvent, frozen=True, kw_only=True):
    """The parts, in this order, have become the file; its `file.stored` comes directly before this event in the log."""

    upload_id: UploadId
    part_ids: Annotated[tuple[PartId, ...], Items(limits.PARTS_COUNT_MAX)]
    file_id: FileId


class UploadCancelled(UploadEvent, frozen=True, kw_only=True):
    """The owner cancelled the upload."""

    upload_id: UploadId


class UploadPartsRemoved(UploadEvent, frozen=True, kw_only=True):
    """The upload was completed or cancelled or has expired, and the bytes of its parts are gone from the blob store."""

    upload_id: UploadId


AnyUploadEvent = UploadCreated | UploadPartAdded | UploadCompleted | UploadCancelled | UploadPartsRemoved
