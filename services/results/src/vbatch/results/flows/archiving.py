"""Moves batches that have ended from the log to archives, one after the other, beside all other work of results.

The order of its steps is what keeps every answer: the archive is durable and read back, then `batch.archived` says
where it is, and only then the chunks leave the log. A crash between any two of them leaves both, and the next round
continues.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from vbatch.chassis.blobs import Blobs, BlobTrouble
from vbatch.chassis.failpoints import Failpoint, reached
from vbatch.chassis.logs import get_logger
from vbatch.contracts import codec, events as e
from vbatch.contracts.ids import BatchId
from vbatch.contracts.message import Recorded
from vbatch.contracts.subjects import BATCHES_ARCHIVED, batch_events, chunks_of
from vbatch.journal.archive import ArchiveHead
from vbatch.journal.port import Full, Lease, Log, LogPurge, Unavailable
from vbatch.results.core.archive import (
    ENDS,
    ArchiveNotWhole,
    ArchiveQueue,
    archive_blob,
    archived,
    grace_of,
    must_be_whole,
)
from vbatch.results.flows.archive_files import ArchiveFiles

SOURCE = "results"
END_SUBJECTS = tuple(f"evt.batch.*.{end}" for end in ENDS)


@dataclass(frozen=True)
class ArchiveMeans:
    """`log` is the stream alone, without its archives: what is not in it cannot be archived."""

    log: Log
    purge: LogPurge
    blobs: Blobs
    every_seconds: float
    grace_seconds: float


class Archiver:
    def __init__(
        self,
        means: ArchiveMeans,
        lease: Lease,
        *,
        now: Callable[[], datetime],
        on_archived: Callable[[e.BatchArchived], None] = lambda event: None,
    ) -> None:
        self._means = means
        self._log = means.log
        self._lease = lease
        self._now = now
        self._on_archived = on_archived
        self._files = ArchiveFiles(means.blobs)
        self._queue = ArchiveQueue()

    async def run(self) -> None:
        """Archive until cancelled. Raises Conflict when a newer results process has the lease."""
        while True:
            try:
                await self.round()
            except (BlobTrouble, Unavailable, Full) as error:
                get_logger().warning("archiving_interrupted", reason=f"{type(error).__name__}: {error}")
            await asyncio.sleep(self._means.every_seconds)

    async def round(self) -> None:
        """Archive every batch that is due, and purge what an earlier process left. Raises Conflict, and trouble."""
        await self._learn()
        for batch_id, last_sequence in self._queue.unpurged():
            await self._purge(batch_id, last_sequence)
        fill = await self._log.fill()
        grace = grace_of(self._means.grace_seconds, fill.bytes / fill.bytes_max)
        for batch_id in self._queue.due(self._now(), grace):
            await self._archive(batch_id)

    async def _learn(self) -> None:
        subjects = (*END_SUBJECTS, BATCHES_ARCHIVED)
        async for records in read_until(self._log, subjects, self._queue.sequence):
            for record in records:
                self._queue.fold(record, _archive_told(record))

    async def _archive(self, batch_id: BatchId) -> None:
        try:
            event = await self._stored(batch_id)
        except ArchiveNotWhole as error:
            get_logger().error("archive_not_whole", batch_id=batch_id, reason=str(error))
            return
        sequence = await self._log.append(codec.encode(event, source=SOURCE), self._lease.guard())
        reached(Failpoint.ARCHIVE_RECORDED)
        get_logger().info("batch_archived", batch_id=batch_id, blob=event.blob, bytes=event.bytes, sequence=sequence)
        await self._learn()
        await self._purge(batch_id, event.last_sequence)
        self._on_archived(event)

    async def _stored(self, batch_id: BatchId) -> e.BatchArchived:
        """Store the archive of everything the log holds of the batch now, and read it back. Raises ArchiveNotWhole."""
        first = await self._log.last(f"evt.batch.{batch_id}.created")
        last_chunk = await self._log.last(chunks_of(batch_id))
        last = await self._log.last(batch_events(batch_id))
        if first is None or last is None:
            raise ArchiveNotWhole("the log does not hold its beginning")
        blob = archive_blob(batch_id)
        records = read_until(self._log, (batch_events(batch_id),), first.sequence - 1, last.sequence)
        written = await self._files.write(blob, ArchiveHead(batch_id), records)
        reached(Failpoint.ARCHIVE_STORED)
        read_back = await self._files.read_back(blob, batch_id)
        must_be_whole(
            written,
            read_back,
            first=first.sequence,
            last=last.sequence,
            last_chunk=last_chunk.sequence if last_chunk else 0,
        )
        reached(Failpoint.ARCHIVE_CHECKED)
        return archived(batch_id, blob, written, now=self._now())

    async def _purge(self, batch_id: BatchId, through: int) -> None:
        """Remove the archived chunks from the log; a chunk that came after the archive stays."""
        if await self._log.last(chunks_of(batch_id)) is not None:
            purged = await self._means.purge.purge(chunks_of(batch_id), through)
            reached(Failpoint.CHUNKS_PURGED)
            if purged:
                get_logger().info("chunks_purged", batch_id=batch_id, chunks=purged)
        self._queue.purged(batch_id)


async def read_until(
    log: Log, subjects: Sequence[str], after: int, end: int | None = None
) -> AsyncIterator[list[Recorded]]:
    """What the log holds on the subjects behind `after`, up to `end` or to what is the newest now."""
    newest = [record.sequence for subject in subjects if (record := await log.last(subject)) is not None]
    last = min(max(newest, default=0), end or max(newest, default=0))
    if last <= after:
        return
    async with log.tail(after, subjects) as arrivals:
        async for records in arrivals:
            if found := [record for record in records if record.sequence <= last]:
                yield found
            if records[-1].sequence >= last:
                return


def _archive_told(record: Recorded) -> e.BatchArchived | None:
    """The archive that a record tells of; None for the end of a batch, and for an event of a later version."""
    try:
        event = codec.decode(record)
    except codec.Unreadable:
        return None
    return event if isinstance(event, e.BatchArchived) else None
