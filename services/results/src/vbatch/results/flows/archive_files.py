"""Writes an archive to the blob store and reads it back; both count the same, so that they can be compared."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence

from vbatch.chassis.blobs import Blobs
from vbatch.contracts import events as e
from vbatch.contracts.codec import Unreadable, decode_outline
from vbatch.contracts.ids import BatchId
from vbatch.contracts.message import Recorded
from vbatch.contracts.subjects import chunks_of
from vbatch.journal.archive import ArchiveDecoder, ArchiveEncoder, ArchiveHead, read_archive
from vbatch.results.core.archive import Archive

READ_BYTES = 1 << 20


class ArchiveFiles:
    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    async def write(self, blob: str, head: ArchiveHead, records: AsyncIterator[Sequence[Recorded]]) -> Archive:
        """Write all records; the blob is durable when this returns. Raises BlobTrouble, Unavailable."""
        count, encoder = _Count(BatchId(head.batch_id)), ArchiveEncoder(head)
        async with self._blobs.writer(blob) as writer:
            async for part in records:
                await writer.write(await asyncio.to_thread(count.encoded, encoder, part))
            await writer.write(await asyncio.to_thread(count.ended, encoder))
        return count.archive()

    async def read_back(self, blob: str, batch_id: BatchId) -> Archive:
        """Read the archive that the store now holds. Raises BlobTrouble, ArchiveDamaged."""
        count = _Count(batch_id)
        async for records in read_archive(self._pieces(blob, count)):
            await asyncio.to_thread(count.add, records)
        return count.archive()

    async def records(self, blob: str, decoder: ArchiveDecoder | None = None) -> AsyncIterator[list[Recorded]]:
        async for records in read_archive(self._blobs.read_stream(blob, chunk_bytes=READ_BYTES), decoder):
            yield records

    async def delete(self, blob: str) -> None:
        await self._blobs.delete(blob)

    async def _pieces(self, blob: str, count: _Count) -> AsyncIterator[bytes]:
        async for piece in self._blobs.read_stream(blob, chunk_bytes=READ_BYTES):
            await asyncio.to_thread(count.digest, piece)
            yield piece


class _Count:
    def __init__(self, batch_id: BatchId) -> None:
        self._chunks = chunks_of(batch_id)
        self._sha256 = hashlib.sha256()
        self._bytes = self._first = self._last = self._events = self._outcomes = self._last_chunk = 0

    def encoded(self, encoder: ArchiveEncoder, records: Sequence[Recorded]) -> bytes:
        self.add(records)
        return self.digest(encoder.feed(records))

    def ended(self, encoder: ArchiveEncoder) -> bytes:
        return self.digest(encoder.end())

    def digest(self, piece: bytes) -> bytes:
        self._sha256.update(piece)
        self._bytes += len(piece)
        return piece

    def add(self, records: Sequence[Recorded]) -> None:
        for record in records:
            self._first = self._first or record.sequence
            self._last = record.sequence
            self._events += 1
            if record.subject == self._chunks:
                self._last_chunk = record.sequence
                self._outcomes += _outcomes_in(record)

    def archive(self) -> Archive:
        return Archive(
            bytes=self._bytes,
            sha256=self._sha256.hexdigest(),
            first_sequence=self._first,
            last_sequence=self._last,
            event_count=self._events,
            outcome_count=self._outcomes,
            last_chunk=self._last_chunk,
        )


def _outcomes_in(record: Recorded) -> int:
    """How many outcomes a chunk holds; 0 for an unreadable chunk, which is among the dead letters."""
    try:
        event = decode_outline(record)
    except Unreadable:
        return 0
    return len(event.outcomes) if isinstance(event, e.ChunkOutline) else 0
