"""Input files that the server makes itself: the requests of a retry, or those that came in the body of a create."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta

from vbatch.contracts.events import FileStored
from vbatch.contracts.ids import FileId, OwnerId
from vbatch.gateway.core.files import uploads
from vbatch.gateway.flows.quotas import must_have_room_for_bytes
from vbatch.gateway.ports import Dependencies


async def made_file(
    dependencies: Dependencies, owner: OwnerId, *, file_id: FileId, filename: str, pieces: AsyncIterator[bytes]
) -> FileStored:
    """Write the bytes durably and return the event that is still to be appended. Raises Refusal; then nothing is
    kept."""
    digest, blob = hashlib.sha256(), f"files/{file_id}"
    async with dependencies.blobs.writer(blob) as writer:
        async for piece in pieces:
            digest.update(piece)
            await writer.write(piece)
            uploads.check_size(writer.size, uploads.BATCH, dependencies.batch_file_bytes_max)
        await must_have_room_for_bytes(dependencies, owner, writer.size)
        size = writer.size
    now = dependencies.now()
    return FileStored(
        at=now,
        file_id=file_id,
        owner=owner,
        purpose=uploads.BATCH,
        filename=filename,
        bytes=size,
        sha256=digest.hexdigest(),
        blob=blob,
        expires_at=now + timedelta(seconds=uploads.BATCH_FILE_SECONDS),
    )
