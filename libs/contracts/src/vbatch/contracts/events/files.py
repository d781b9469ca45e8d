"""The events of files."""

from __future__ import annotations

from datetime import datetime

from vbatch.contracts import limits
from vbatch.contracts.events.base import Event
from vbatch.contracts.ids import BatchId, FileId, OwnerId


class FileStored(Event, frozen=True, kw_only=True):
    """The file's bytes are in the blob store under `blob`, fsynced. `batch_id` is set on output and error files."""

    file_id: FileId
    owner: OwnerId
    purpose: limits.Word
    filename: limits.Filename
    bytes: int
    sha256: limits.Word
    blob: limits.BlobName
    expires_at: datetime | None = None
    batch_id: BatchId | None = None


class FileDeleted(Event, frozen=True, kw_only=True):
    """The owner deleted the file, or the retention policy no longer keeps it. The bytes stay while an unfinished batch
    reads them."""

    file_id: FileId
    owner: OwnerId


FileEvent = FileStored | FileDeleted
