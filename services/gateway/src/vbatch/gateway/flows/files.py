"""Finds, lists, reads and deletes files after their upload."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from vbatch.chassis.blobs import BlobMissing
from vbatch.contracts.events import FileDeleted
from vbatch.contracts.ids import FileId, OwnerId, is_file_id
from vbatch.contracts.subjects import file_events
from vbatch.gateway.core.files.ranges import ByteRange, read_range
from vbatch.gateway.core.files.uploads import NOT_DOWNLOADABLE
from vbatch.gateway.core.pages import ListFilesParams
from vbatch.gateway.core.records import FileRecord
from vbatch.gateway.core.refusals import Reason, Refusal, no_such_file
from vbatch.gateway.flows.writing import append, is_news, must_read
from vbatch.gateway.ports import Dependencies


@dataclass(frozen=True, slots=True)
class Download:
    """`size` is that of the whole file; `part` is None if all of it is sent."""

    file: FileRecord
    size: int
    part: ByteRange | None
    content: AsyncIterator[bytes]


async def find_file(dependencies: Dependencies, owner: OwnerId, file_id: str) -> FileRecord:
    """Find a file. Raises Refusal if neither the read model nor the log knows it."""
    file = await _find(dependencies, owner, FileId(file_id)) if is_file_id(file_id) else None
    if file is None:
        raise no_such_file(file_id)
    return file


async def _find(dependencies: Dependencies, owner: OwnerId, file_id: FileId) -> FileRecord | None:
    file = await dependencies.reads.file(owner, file_id, dependencies.now())
    if file is None and await is_news(dependencies, file_events(file_id)):
        return await dependencies.reads.file(owner, file_id, dependencies.now())
    return file


async def list_files(dependencies: Dependencies, owner: OwnerId, params: ListFilesParams) -> list[FileRecord]:
    return await dependencies.reads.files(owner, params, dependencies.now())


async def delete_file(dependencies: Dependencies, owner: OwnerId, file_id: str) -> FileId:
    """Delete a file: its name is removed at once, its bytes stay while an unfinished batch still reads them."""
    file = await find_file(dependencies, owner, file_id)
    sequence = await append(dependencies, FileDeleted(at=dependencies.now(), file_id=file.id, owner=owner))
    await must_read(dependencies, sequence)
    if not await dependencies.reads.is_read_by_a_batch(file.id):
        await dependencies.blobs.delete(file.blob)
    return file.id


async def download(dependencies: Dependencies, owner: OwnerId, file_id: str, range_header: str | None) -> Download:
    """Open a download. Raises Refusal before the first byte if the file is unknown, has no content or has no such
    range."""
    file = await find_file(dependencies, owner, file_id)
    if file.purpose in NOT_DOWNLOADABLE:
        message = f"Not allowed to download files of purpose: {file.purpose}"
        raise Refusal(Reason.FILE_NOT_DOWNLOADABLE, message)
    try:
        size = await dependencies.blobs.size(file.blob)
    except BlobMissing as error:
        raise no_such_file(file_id) from error
    part = read_range(range_header, size)
    whole = part or ByteRange(0, size)
    return Download(file, size, part, dependencies.blobs.read_stream(file.blob, whole.start, whole.end))
