"""Files after their upload: finding, listing, reading, deleting."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from vbatch.chassis.blobs import BlobMissing
from vbatch.contracts.events import FileDeleted
from vbatch.contracts.ids import FileId, OwnerId, is_file_id
from vbatch.contracts.subjects import file_events
from vbatch.gateway.core.pages import PageAsk
from vbatch.gateway.core.ranges import ByteRange, read_range
from vbatch.gateway.core.records import FileRecord
from vbatch.gateway.core.refusals import Reason, Refusal, no_such_file
from vbatch.gateway.core.uploads import NOT_DOWNLOADABLE
from vbatch.gateway.flows.writing import append, is_news, must_read
from vbatch.gateway.ports import World


@dataclass(frozen=True, slots=True)
class Download:
    """`size` is the whole file's; `part` is None when all of it is sent."""

    file: FileRecord
    size: int
    part: ByteRange | None
    content: AsyncIterator[bytes]


async def find_file(world: World, owner: OwnerId, file_id: str) -> FileRecord:
    """Raises Refusal (E3); that a file is not there is only said when the log does not know it either."""
    file = await _find(world, owner, FileId(file_id)) if is_file_id(file_id) else None
    if file is None:
        raise no_such_file(file_id)
    return file


async def _find(world: World, owner: OwnerId, file_id: FileId) -> FileRecord | None:
    file = await world.reads.file(owner, file_id, world.now())
    if file is None and await is_news(world, file_events(file_id)):
        return await world.reads.file(owner, file_id, world.now())
    return file


async def list_files(world: World, owner: OwnerId, ask: PageAsk) -> list[FileRecord]:
    return await world.reads.files(owner, ask, world.now())


async def delete_file(world: World, owner: OwnerId, file_id: str) -> FileId:
    """The name is gone at once; the bytes stay while an unfinished batch still reads them."""
    file = await find_file(world, owner, file_id)
    sequence = await append(world, FileDeleted(at=world.now(), file_id=file.id, owner=owner))
    await must_read(world, sequence)
    if not await world.reads.is_read_by_a_batch(file.id):
        await world.blobs.delete(file.blob)
    return file.id


async def download(world: World, owner: OwnerId, file_id: str, range_header: str | None) -> Download:
    """Raises Refusal (E3, E18, an impossible range) before the first byte."""
    file = await find_file(world, owner, file_id)
    if file.purpose in NOT_DOWNLOADABLE:
        message = f"Not allowed to download files of purpose: {file.purpose}"
        raise Refusal(Reason.FILE_NOT_DOWNLOADABLE, message)
    try:
        size = await world.blobs.size(file.blob)
    except BlobMissing as error:
        raise no_such_file(file_id) from error
    part = read_range(range_header, size)
    whole = part or ByteRange(0, size)
    return Download(file, size, part, world.blobs.read_stream(file.blob, whole.start, whole.end))
