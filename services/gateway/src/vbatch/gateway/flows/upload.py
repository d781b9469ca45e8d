"""An upload: its bytes are stored, hashed and checked as they come; then the file is recorded in the log."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from vbatch.chassis.failpoints import Failpoint, reached
from vbatch.contracts.events import FileStored
from vbatch.contracts.ids import FileId, OwnerId, new_file_id
from vbatch.gateway.core.files import uploads
from vbatch.gateway.core.records import FileRecord, file_of
from vbatch.gateway.core.refusals import Refusal
from vbatch.gateway.flows.quotas import must_have_room_for_bytes
from vbatch.gateway.flows.writing import append, can_read
from vbatch.gateway.ports import Dependencies
from vbatch.journal.port import Full


class Form(Protocol):
    """A multipart form whose fields fill up while its file is read; it is complete once the file has been read."""

    @property
    def fields(self) -> dict[str, str]: ...

    @property
    def filename(self) -> str: ...

    def file_pieces(self) -> AsyncIterator[bytes]:
        """Yield the bytes. Raises Refusal for a form that is malformed or has no file."""
        ...


@dataclass(frozen=True, slots=True)
class _Written:
    purpose: str
    filename: str
    expires_after: int | None
    bytes: int
    sha256: str


async def upload(dependencies: Dependencies, owner: OwnerId, form: Form) -> FileRecord:
    """Store the file durably and list it. Raises Refusal; then, and if the client disconnects, nothing is kept."""
    file_id = new_file_id(dependencies.entropy(16))
    blob = f"files/{file_id}"
    written = await _write(dependencies, blob, form)
    reached(Failpoint.BLOB_STORED)
    event = _stored(written, file_id, owner, blob, dependencies.now())
    try:
        await must_have_room_for_bytes(dependencies, owner, written.bytes)
        sequence = await append(dependencies, event)
    except (Full, Refusal):
        await dependencies.blobs.delete(blob)  # not in the log; after other errors it may be, so the bytes stay
        raise
    reached(Failpoint.FILE_RECORDED)
    # If results is late, the answer comes from the event: the file exists, even if it is not listed yet.
    await can_read(dependencies, sequence)
    return file_of(event)


async def _write(dependencies: Dependencies, blob: str, form: Form) -> _Written:
    digest, look = hashlib.sha256(), uploads.JsonlProbe()
    async with dependencies.blobs.writer(blob) as writer:
        async for piece in form.file_pieces():
            digest.update(piece)
            look.feed(piece)
            await writer.write(piece)
            uploads.check_size(writer.size, form.fields.get("purpose"), dependencies.batch_file_bytes_max)
        purpose = _purpose(form, look)
        uploads.check_size(writer.size, purpose, dependencies.batch_file_bytes_max)
        expires_after = uploads.expiry_of(form.fields, purpose)
        return _Written(purpose, form.filename, expires_after, writer.size, digest.hexdigest())


def _purpose(form: Form, look: uploads.JsonlProbe) -> str:
    """Check what requires the whole form, because its fields may follow its file."""
    purpose = uploads.read_purpose(form.fields)
    uploads.check_content(purpose, look)
    return purpose


def _stored(written: _Written, file_id: FileId, owner: OwnerId, blob: str, now: datetime) -> FileStored:
    expires_after = written.expires_after
    return FileStored(
        at=now,
        file_id=file_id,
        owner=owner,
        purpose=written.purpose,
        filename=written.filename,
        bytes=written.bytes,
        sha256=written.sha256,
        blob=blob,
        expires_at=now + timedelta(seconds=expires_after) if expires_after is not None else None,
    )
