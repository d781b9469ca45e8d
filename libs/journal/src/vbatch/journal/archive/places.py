"""Which batches have an archive, and where: read from the events that announce archives."""

from __future__ import annotations

from collections.abc import Sequence

from vbatch.contracts import events as e
from vbatch.contracts.codec import Unreadable, decode
from vbatch.contracts.ids import BatchId
from vbatch.contracts.message import Recorded
from vbatch.contracts.subjects import BATCHES_ARCHIVED, archived, chunks_of
from vbatch.journal.port import Log
from vbatch.journal.rules import matches

ANY_BATCH = BatchId("any")


class KnownPlaces:
    """The archives that concern a reader behind sequence `after`: an archive announced before it holds nothing behind
    it.

    `filters` are those of its subject filters that chunks match. `batches` are the batches that the filters name; empty
    if one of the filters covers every batch.
    """

    def __init__(self, log: Log, filters: Sequence[str], after: int = 0) -> None:
        self._log = log
        named = [_batch_in(each) for each in filters]
        self.batches = [] if None in named else [batch for batch in named if batch is not None]
        self.subjects = tuple(map(archived, self.batches)) or (BATCHES_ARCHIVED,)
        """Where these archives are announced."""
        self._through = after

    async def refresh(self) -> list[e.BatchArchived]:
        """Return the archives that were announced since the last call, the newest of each batch. Raises Unavailable."""
        told = [record for subject in self.subjects if (record := await self._log.last(subject)) is not None]
        newest = max((record.sequence for record in told), default=0)
        if newest <= self._through:
            return []
        found = _read(told) if self.batches else await self._told_until(newest)
        self._through = newest
        return found

    async def _told_until(self, newest: int) -> list[e.BatchArchived]:
        records: list[Recorded] = []
        async with self._log.tail(self._through, self.subjects) as arrivals:
            async for arrived in arrivals:
                records += arrived
                if arrived[-1].sequence >= newest:
                    break
        return _read(records)


def concern_chunks(filters: Sequence[str]) -> list[str]:
    """Return those of the subject filters that the chunks of some batch match."""
    return [each for each in filters if matches(each, chunks_of(_batch_in(each) or ANY_BATCH))]


def _read(records: Sequence[Recorded]) -> list[e.BatchArchived]:
    """Return the newest archive of each batch. An event that this version cannot read is left out."""
    places: dict[BatchId, e.BatchArchived] = {}
    for record in records:
        try:
            event = decode(record)
        except Unreadable:
            continue  # results sets it aside as a dead letter
        if isinstance(event, e.BatchArchived):
            places[event.batch_id] = event
    return list(places.values())


def _batch_in(subject_filter: str) -> BatchId | None:
    tokens = subject_filter.split(".")
    return BatchId(tokens[2]) if len(tokens) > 2 and tokens[2] not in ("*", ">") else None
