"""The log as one history: what the stream and the archives hold, ordered by sequence, each event once.

Only chunks ever leave the stream, so a reader of anything else reads the stream itself. The event that announces an
archive precedes the removal of its chunks: a reader that meets a gap asks for newly announced archives before it passes
the gap, and misses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Protocol

from vbatch.contracts import events as e
from vbatch.contracts.message import Message, Recorded
from vbatch.contracts.subjects import chunks_of
from vbatch.journal.archive.merging import ArchiveCursor, merged
from vbatch.journal.archive.places import KnownPlaces, concern_chunks
from vbatch.journal.port import Fill, Guard, Lease, Log
from vbatch.journal.rules import matches

PIECE_BYTES = 1 << 20


class ArchiveBlobs(Protocol):
    """The part of a blob store that reading archives needs."""

    def read_stream(
        self, name: str, start: int = 0, end: int | None = None, chunk_bytes: int = PIECE_BYTES
    ) -> AsyncIterator[bytes]: ...


class HistoricLog:
    """A Log whose tails also return what has moved to archives. In addition to the errors of a Log, a tail raises
    ArchiveDamaged and the errors of the blob store."""

    def __init__(self, log: Log, blobs: ArchiveBlobs) -> None:
        self._log = log
        self._blobs = blobs

    async def append(self, message: Message, guard: Guard | None = None) -> int:
        return await self._log.append(message, guard)

    async def append_all(self, messages: Sequence[Message], guard: Guard | None = None) -> int:
        return await self._log.append_all(messages, guard)

    async def last(self, subject_filter: str) -> Recorded | None:
        """Return the newest message on the filter that the stream holds; for the chunks of one batch, also an archived
        one."""
        found = await self._log.last(subject_filter)
        return found if found is not None else await self._last_archived(subject_filter)

    async def last_sequence(self) -> int:
        return await self._log.last_sequence()

    async def fill(self) -> Fill:
        return await self._log.fill()

    async def acquire(self, message: Message) -> Lease:
        return await self._log.acquire(message)

    @asynccontextmanager
    async def tail(
        self, after: int, subjects: Sequence[str] = ("evt.>",), *, headers_only: bool = False
    ) -> AsyncIterator[AsyncIterator[list[Recorded]]]:
        filters = concern_chunks(subjects)
        if not filters:
            async with self._log.tail(after, subjects, headers_only=headers_only) as plain:
                yield plain
            return
        places = KnownPlaces(self._log, filters, after)
        # With the events that announce archives, the stream always holds something behind what was archived.
        told = [subject for subject in places.subjects if not any(matches(each, subject) for each in subjects)]
        async with self._log.tail(after, (*subjects, *told), headers_only=headers_only) as stream:
            lists = merged(stream, places, self._opener(headers_only=headers_only), after=after, subjects=subjects)
            tail = _HistoricTail(lists)
            try:
                yield tail
            finally:
                await tail.aclose()

    def _opener(self, *, headers_only: bool) -> _Opener:
        return _Opener(self._blobs, headers_only)

    async def _last_archived(self, subject_filter: str) -> Recorded | None:
        places = KnownPlaces(self._log, concern_chunks([subject_filter]))
        if subject_filter not in map(chunks_of, places.batches):
            return None
        newest = list(await places.refresh())[-1:]
        for place in newest:
            async with aclosing(self._opener(headers_only=False)(place)) as cursor:
                return await cursor.last()
        return None


class _Opener:
    def __init__(self, blobs: ArchiveBlobs, headers_only: bool) -> None:
        self._blobs = blobs
        self._headers_only = headers_only

    def __call__(self, place: e.BatchArchived) -> ArchiveCursor:
        return ArchiveCursor(place, self._blobs.read_stream(place.blob), headers_only=self._headers_only)


class _HistoricTail(AsyncIterator[list[Recorded]]):
    """Cancelling a pending `anext` loses nothing: the step continues, and the next `anext` takes its result."""

    def __init__(self, lists: AsyncGenerator[list[Recorded], None]) -> None:
        self._lists = lists
        self._step: asyncio.Future[list[Recorded]] | None = None

    async def __anext__(self) -> list[Recorded]:
        if self._step is None:
            self._step = asyncio.ensure_future(anext(self._lists))
        if not self._step.done():
            await asyncio.wait([self._step])
        step, self._step = self._step, None
        return step.result()

    async def aclose(self) -> None:
        if self._step is not None:
            self._step.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await self._step
        await self._lists.aclose()
