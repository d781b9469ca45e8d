"""Uploads in parts. Their state is folded from the log at each request, so any gateway can continue any upload.

The sweep (flows.upload_sweep) removes the parts of uploads that are over.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from vbatch.chassis.logs import get_logger
from vbatch.contracts import events as e
from vbatch.contracts.codec import Unreadable, decode
from vbatch.contracts.ids import FileId, OwnerId, UploadId, is_upload_id, new_file_id, new_part_id, new_upload_id
from vbatch.contracts.message import Recorded
from vbatch.contracts.subjects import upload_events
from vbatch.gateway.core.files import uploads
from vbatch.gateway.core.files.part_uploads import (
    UPLOAD_SECONDS,
    CompleteUploadParams,
    CreateUploadParams,
    PartUpload,
    UploadEvent,
    UploadStatus,
    check_md5,
    check_part,
    check_pending,
    check_room,
    chosen_parts,
    fold,
    is_same_completion,
)
from vbatch.gateway.core.records import FileRecord, file_of
from vbatch.gateway.core.refusals import Refusal, no_such_upload, unavailable, upload_not_pending
from vbatch.gateway.flows.files import find_file
from vbatch.gateway.flows.quotas import must_have_room_for_bytes
from vbatch.gateway.flows.upload import Form
from vbatch.gateway.flows.writing import append, append_all, can_read
from vbatch.gateway.ports import Dependencies
from vbatch.journal.port import Conflict, Full, Guard

APPEND_TRIES_MAX = 50
"""Parts sent in parallel are appended one by one; a client with more at the same instant must retry."""


@dataclass(frozen=True, slots=True)
class _Assembled:
    """The parts, joined into one blob."""

    file_id: FileId
    blob: str
    sha256: str


async def create_upload(dependencies: Dependencies, owner: OwnerId, params: CreateUploadParams) -> e.UploadCreated:
    """Create an upload, which is pending for an hour. Raises Refusal when the owner's quota is used up."""
    await must_have_room_for_bytes(dependencies, owner, params.bytes)
    now = dependencies.now()
    event = e.UploadCreated(
        at=now,
        upload_id=new_upload_id(dependencies.entropy(16)),
        owner=owner,
        bytes=params.bytes,
        filename=params.filename,
        mime_type=params.mime_type,
        purpose=params.purpose,
        expires_at=now + timedelta(seconds=UPLOAD_SECONDS),
        file_expires_after_seconds=params.file_expires_after_seconds,
    )
    await append(dependencies, event)
    return event


async def find_upload(dependencies: Dependencies, owner: OwnerId, upload_id: str) -> PartUpload:
    """Find an upload, folded from the log. Raises Refusal."""
    upload = await _load(dependencies, UploadId(upload_id)) if is_upload_id(upload_id) else None
    if upload is None or upload.created.owner != owner:
        raise no_such_upload(upload_id)
    return upload


async def add_part(dependencies: Dependencies, owner: OwnerId, upload_id: str, form: Form) -> e.UploadPartAdded:
    """Add a part durably. Raises Refusal; then, and if the client disconnects, nothing is kept."""
    upload = await find_upload(dependencies, owner, upload_id)
    check_pending(upload, dependencies.now())
    part_id = new_part_id(dependencies.entropy(16))
    blob = f"parts/{part_id}"
    check_room(upload, 0)
    async with dependencies.blobs.writer(blob) as writer:
        async for piece in form.file_pieces():
            await writer.write(piece)
            check_room(upload, writer.size)
        check_part(writer.size)
    event = e.UploadPartAdded(at=dependencies.now(), upload_id=upload.id, part_id=part_id, bytes=writer.size, blob=blob)
    await _append_while_pending(dependencies, upload, [event], blob)
    return event


async def complete_upload(
    dependencies: Dependencies, owner: OwnerId, upload_id: str, params: CompleteUploadParams
) -> tuple[e.UploadCreated, FileRecord]:
    """Return the upload and the file of its parts; the same request again gets the same answer. Raises Refusal."""
    upload = await find_upload(dependencies, owner, upload_id)
    if is_same_completion(upload, params):
        return upload.created, await _file_made(dependencies, owner, upload)
    check_pending(upload, dependencies.now())
    await must_have_room_for_bytes(dependencies, owner, upload.created.bytes)
    assembled = await _assemble(dependencies, upload, params)
    stored = _stored(dependencies, upload, assembled)
    completed = e.UploadCompleted(
        at=stored.at, upload_id=upload.id, part_ids=params.part_ids, file_id=assembled.file_id
    )
    try:
        sequence = await _append_while_pending(dependencies, upload, [stored, completed], assembled.blob)
    except Refusal:
        upload = await find_upload(
            dependencies, owner, upload_id
        )  # the same request, sent twice by the client, may have been first
        if not is_same_completion(upload, params):
            raise
        return upload.created, await _file_made(dependencies, owner, upload)
    await can_read(dependencies, sequence)
    return upload.created, file_of(stored)


async def cancel_upload(dependencies: Dependencies, owner: OwnerId, upload_id: str) -> e.UploadCreated:
    """Cancel the upload; one that is already cancelled is returned as it is. Raises Refusal."""
    upload = await find_upload(dependencies, owner, upload_id)
    if upload.status(dependencies.now()) is not UploadStatus.CANCELLED:
        check_pending(upload, dependencies.now())
        await _append_while_pending(
            dependencies, upload, [e.UploadCancelled(at=dependencies.now(), upload_id=upload.id)]
        )
    return upload.created


def upload_event(record: Recorded) -> UploadEvent | None:
    """Decode a record; None if this version cannot: it must not block the events after it."""
    try:
        return cast(UploadEvent, decode(record))
    except Unreadable as error:
        get_logger().warning("event_passed_over", sequence=record.sequence, reason=str(error))
        return None


async def _load(dependencies: Dependencies, upload_id: UploadId) -> PartUpload | None:
    subject = upload_events(upload_id)
    newest = await dependencies.log.last(subject)
    upload: PartUpload | None = None
    if newest is None:
        return upload
    async with dependencies.log.tail(0, [subject]) as tail:
        async for records in tail:
            for record in records:
                event = upload_event(record)
                upload = fold(upload, event, record.sequence) if event is not None else upload
            if records[-1].sequence >= newest.sequence:
                break
    return upload


async def _append_while_pending(
    dependencies: Dependencies, upload: PartUpload, events: Sequence[e.Event], blob: str | None = None
) -> int:
    """Append unless the upload has ended in the meantime. `blob` is deleted if nothing was stored."""
    try:
        for _ in range(APPEND_TRIES_MAX):
            try:
                return await append_all(dependencies, events, Guard(upload_events(upload.id), upload.sequence))
            except Conflict:
                upload = await find_upload(dependencies, upload.created.owner, upload.id)
                check_pending(upload, dependencies.now())
        raise unavailable("Too many parts of this upload arrived at once.")
    except (Refusal, Full):
        if blob is not None:
            await dependencies.blobs.delete(blob)
        raise


async def _assemble(dependencies: Dependencies, upload: PartUpload, params: CompleteUploadParams) -> _Assembled:
    """Join the chosen parts. Raises Refusal, and then keeps nothing."""
    parts = chosen_parts(upload, params.part_ids)
    file_id = new_file_id(dependencies.entropy(16))
    blob, look = f"files/{file_id}", uploads.JsonlProbe()
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    async with dependencies.blobs.writer(blob) as writer:
        async for piece in _bytes_of(dependencies, parts):
            look.feed(piece)
            await asyncio.to_thread(sha256.update, piece)
            if params.md5 is not None:
                await asyncio.to_thread(md5.update, piece)
            await writer.write(piece)
        uploads.check_content(upload.created.purpose, look)
        check_md5(params.md5, md5.hexdigest())
    return _Assembled(file_id, blob, sha256.hexdigest())


async def _bytes_of(dependencies: Dependencies, parts: Sequence[e.UploadPartAdded]) -> AsyncIterator[bytes]:
    for part in parts:
        async for piece in dependencies.blobs.read_stream(part.blob, 0, part.bytes):
            yield piece


def _stored(dependencies: Dependencies, upload: PartUpload, assembled: _Assembled) -> e.FileStored:
    now, created = dependencies.now(), upload.created
    expires_after = created.file_expires_after_seconds
    return e.FileStored(
        at=now,
        file_id=assembled.file_id,
        owner=created.owner,
        purpose=created.purpose,
        filename=created.filename,
        bytes=created.bytes,
        sha256=assembled.sha256,
        blob=assembled.blob,
        expires_at=now + timedelta(seconds=expires_after) if expires_after is not None else None,
    )


async def _file_made(dependencies: Dependencies, owner: OwnerId, upload: PartUpload) -> FileRecord:
    """Return the file of a completed upload. Raises Refusal if it is deleted."""
    if not isinstance(upload.end, e.UploadCompleted):
        raise upload_not_pending(upload.status(dependencies.now()))
    await can_read(dependencies, upload.sequence)
    return await find_file(dependencies, owner, upload.end.file_id)
