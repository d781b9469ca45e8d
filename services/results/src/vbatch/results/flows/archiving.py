"""Moves batches that have ended from the log to archives, one after the other, beside all other work of results.

The order of the steps keeps every answer: first the archive is made durable and read back, then `batch.archived` says
where it is, and only then do the chunks leave the log. A crash between any two of them leaves both, and the next round
continues.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta

from vbatch.chassis.blobs import Blobs, BlobTrouble
from vbatch.chassis.failpoints import Failpoint, reached
from vbatch.chassis.logs import get_logger
from vbatch.contracts import codec, events as e
from vbatch.contracts.ids import BatchId
from vbatch.contracts.message import Recorded
from vbatch.contracts.subjects import BATCHES_ARCHIVED, batch_events, chunks_of
from vbatch.journal.archive import ArchiveHead
from vbatch.journal.port import DeadLetters, Full, Log, LogPurge, Unavailable
from vbatch.journal.single_writer import SingleWriter
from vbatch.results.core.archive import (
    ARCHIVES,
    ENDS,
    ArchiveNotWhole,
    ArchiveQueue,
    archive_blob,
    archived,
    grace_of,
    must_be_whole,
)
from vbatch.results.core.erasing import without_answers
from vbatch.results.flows.archive_files import ArchiveFiles
from vbatch.results.flows.output_sweeping import gone_outputs
from vbatch.results.ports import ReadModel, Trouble

SOURCE = "results"
LETTERS_AT_ONCE = 100
TIDY_EVERY = timedelta(hours=1)
"""How often the store is searched for archives of processes that were considered dead and wrote late."""
END_SUBJECTS = tuple(f"evt.batch.*.{end}" for end in ENDS)


def no_limit() -> float:
    return 0.0


@dataclass(frozen=True)
class ArchiveMeans:
    """`log` is the stream alone, `history` the same with its archives."""

    log: Log
    history: Log
    purge: LogPurge
    dead: DeadLetters
    blobs: Blobs
    every_seconds: float
    grace_seconds: float
    disk_fill: Callable[[], float] = no_limit
    """The used share of the home folder's allowance."""


class Archiver:
    """`gone` returns which files of which batches were deleted or have expired."""

    def __init__(
        self,
        means: ArchiveMeans,
        writer: SingleWriter,
        *,
        now: Callable[[], datetime],
        gone: Callable[[], Awaitable[Mapping[BatchId, Set[str]]]],
    ) -> None:
        self._writer = writer
        self._quarantine = writer.quarantine
        self._means = means
        self._log = means.log
        self._now = now
        self._gone = gone
        self._files = ArchiveFiles(means.blobs)
        self._queue = ArchiveQueue()
        self._tidy_at: datetime | None = None
        """When the store is tidied next; None means at the end of this round."""

    async def run(self) -> None:
        """Archive until cancelled. Raises Fenced when a newer results process has the lease."""
        while True:
            try:
                await self.round()
            except (BlobTrouble, Unavailable, Full, Trouble) as error:
                get_logger().warning("archiving_interrupted", reason=f"{type(error).__name__}: {error}")
            await asyncio.sleep(self._means.every_seconds)

    async def round(self) -> None:
        """Settle what an earlier process left, archive every batch that is due, then erase. Raises Fenced and passing
        errors."""
        await self._learn()
        for event in self._queue.unsettled():
            await self._settle(event)
        fill = await self._log.fill()
        disk_fill = await asyncio.to_thread(self._means.disk_fill)
        grace = grace_of(self._means.grace_seconds, fill.bytes / fill.bytes_max, disk_fill)
        for batch_id in self._queue.due(self._now(), grace):
            await self._archive(batch_id, frozenset())
        gone = await self._gone()
        for batch_id in self._queue.to_erase(gone):
            await self._archive(batch_id, self._queue.erased(batch_id) | gone[batch_id])
        await self._tidy()
        await self._drop_dead_chunks()

    async def _learn(self) -> None:
        subjects = (*END_SUBJECTS, BATCHES_ARCHIVED)
        async for records in read_until(self._log, subjects, self._queue.sequence):
            for record in records:
                event = archive_told(record)
                self._queue.fold(record, event)
                if event is not None and event.erased:
                    self._tidy_at = None

    async def _archive(self, batch_id: BatchId, erased: Set[str]) -> None:
        """Archive one batch. A batch at which the service ended several times in a row stays in the log."""
        place = f"archive:{batch_id}"
        if self._quarantine.is_poison(place):
            self._quarantine.tell(place)
            return
        with self._quarantine.watch(place):
            await self._move(batch_id, erased)

    async def _move(self, batch_id: BatchId, erased: Set[str]) -> None:
        try:
            event = await self._stored(batch_id, erased)
        except ArchiveNotWhole as error:
            get_logger().error("archive_not_whole", batch_id=batch_id, reason=str(error))
            return
        sequence = await self._writer.append(event)
        reached(Failpoint.ARCHIVE_RECORDED)
        get_logger().info("batch_archived", batch_id=batch_id, blob=event.blob, erased=event.erased, sequence=sequence)
        await self._learn()
        await self._settle(event)

    async def _stored(self, batch_id: BatchId, erased: Set[str]) -> e.BatchArchived:
        """Store the archive of everything that the log now holds of the batch, and read it back. Raises
        ArchiveNotWhole."""
        first = await self._log.last(f"evt.batch.{batch_id}.created")
        last_chunk = await self._means.history.last(chunks_of(batch_id))
        last = await self._log.last(batch_events(batch_id))
        if first is None or last is None:
            raise ArchiveNotWhole("the log does not hold its beginning")
        records = read_until(self._means.history, (batch_events(batch_id),), first.sequence - 1, last.sequence)
        head = ArchiveHead(batch_id, erased=tuple(sorted(erased)))
        blob = archive_blob(batch_id, last.sequence, erased)
        written = await self._files.write(blob, head, _erasing(records, chunks_of(batch_id), erased))
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
        return archived(batch_id, written, erased, now=self._now())

    async def _settle(self, event: e.BatchArchived) -> None:
        """Remove what the archive replaces. A chunk that came after it stays in the log."""
        chunks = chunks_of(event.batch_id)
        newest = await self._log.last(chunks)
        if newest is not None:
            purged = await self._means.purge.purge(chunks, event.last_sequence)
            reached(Failpoint.CHUNKS_PURGED)
            if purged:
                get_logger().info("chunks_purged", batch_id=event.batch_id, chunks=purged)
        is_late = newest is not None and newest.sequence > event.last_sequence
        self._queue.settled(event, self._now(), has_late_chunks=is_late)

    async def _tidy(self) -> None:
        """Delete the archives that newer ones replace. An archive that was never announced is among them once a newer
        one is announced."""
        if self._tidy_at is not None and self._now() < self._tidy_at:
            return
        blobs = await self._means.blobs.older_than(-1, ARCHIVES)
        for blob in self._queue.superseded(blobs):
            await self._files.delete(blob)
            get_logger().info("archive_superseded", blob=blob)
        self._tidy_at = self._now() + TIDY_EVERY

    async def _drop_dead_chunks(self) -> None:
        """Drop the copies of unreadable chunks that are kept as dead letters."""
        erased = {chunks_of(event.batch_id) for event in self._queue.unsettled() if event.erased}
        after = 0
        while erased and (letters := await self._means.dead.list(after, LETTERS_AT_ONCE)):
            for letter in letters:
                if letter.original.subject in erased:
                    await self._means.dead.drop(letter.sequence)
            after = letters[-1].sequence


async def gone_answers(read_model: ReadModel, now: datetime) -> dict[BatchId, set[str]]:
    """The files of batches that were deleted or have expired, by batch: `output`, `error`. Raises Trouble."""
    gone: dict[BatchId, set[str]] = {}
    async for output in gone_outputs(read_model, now):
        gone.setdefault(output.batch_id, set()).update(output.kinds)
    return gone


async def _erasing(
    records: AsyncIterator[list[Recorded]], chunks: str, erased: Set[str]
) -> AsyncIterator[list[Recorded]]:
    """The records, with the erased answers removed from the chunks."""
    async for part in records:
        yield await asyncio.to_thread(_erased, part, chunks, erased) if erased else part


def _erased(records: Sequence[Recorded], chunks: str, erased: Set[str]) -> list[Recorded]:
    return [without_answers(record, erased) if record.subject == chunks else record for record in records]


async def read_until(
    log: Log, subjects: Sequence[str], after: int, end: int | None = None
) -> AsyncIterator[list[Recorded]]:
    """The records of the log on the subjects after sequence `after`, up to `end` or up to the newest one now."""
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


def archive_told(record: Recorded) -> e.BatchArchived | None:
    """The archive that a record announces; None for the end of a batch and for an event of a later version."""
    try:
        event = codec.decode(record)
    except codec.Unreadable:
        return None
    return event if isinstance(event, e.BatchArchived) else None
