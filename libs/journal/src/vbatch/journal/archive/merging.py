"""Merges what the stream returns with what archives hold, by sequence. An event that both have is returned once."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

from vbatch.contracts import events as e
from vbatch.contracts.message import Recorded
from vbatch.contracts.subjects import chunks_of
from vbatch.journal.archive.places import KnownPlaces
from vbatch.journal.archive.reading import read_archive
from vbatch.journal.port import MESSAGE_SIZE_HEADER
from vbatch.journal.rules import matches

LIST_RECORDS_MAX = 256
LIST_BYTES_MAX = 4 << 20


class ArchiveCursor:
    """The chunks of one archive, in order. Bytes are read only when they are needed. Close it with `aclose`."""

    def __init__(self, place: e.BatchArchived, pieces: AsyncIterator[bytes], *, headers_only: bool) -> None:
        self._subject = chunks_of(place.batch_id)
        self._lists = read_archive(pieces)
        self._headers_only = headers_only
        self._ready: deque[Recorded] = deque()

    async def next(self) -> Recorded | None:
        """Return the next chunk; None behind the last one."""
        while not self._ready:
            records = await anext(self._lists, None)
            if records is None:
                return None
            self._ready.extend(record for record in records if record.subject == self._subject)
        record = self._ready.popleft()
        return _without_body(record) if self._headers_only else record

    async def last(self) -> Recorded | None:
        """Return the last chunk. This reads the whole archive."""
        last = None
        while (record := await self.next()) is not None:
            last = record
        return last

    async def aclose(self) -> None:
        await self._lists.aclose()


OpenCursor = Callable[[e.BatchArchived], ArchiveCursor]


async def merged(
    stream: AsyncIterator[list[Recorded]],
    places: KnownPlaces,
    open_cursor: OpenCursor,
    *,
    after: int,
    subjects: Sequence[str],
) -> AsyncGenerator[list[Recorded], None]:
    """Yield everything on `subjects` after sequence `after`, without end. The stream may return further subjects."""
    is_wanted = _Subjects(subjects)
    position = after
    async with AsyncExitStack() as stack:
        merge = _Merge(open_cursor, stack, after)
        async for records in stream:
            end = records[-1].sequence
            if end - position != len(records):  # something between them has left the stream, or is on other subjects
                merge.expect(await places.refresh())
            async for merged_records in merge.upto(end, records):
                if found := [record for record in merged_records if is_wanted(record.subject)]:
                    yield found
            position = end


class _Merge:
    """The archives that are still to be opened, by their first sequence, and the next chunk of each open one."""

    def __init__(self, open_cursor: OpenCursor, stack: AsyncExitStack, after: int) -> None:
        self._open_cursor = open_cursor
        self._stack = stack
        self._handed = after
        self._expected: list[tuple[int, str, e.BatchArchived]] = []
        self._heads: list[tuple[int, int, Recorded, ArchiveCursor]] = []
        self._opened = 0

    def expect(self, places: Iterable[e.BatchArchived]) -> None:
        for place in places:
            heapq.heappush(self._expected, (place.first_sequence, place.blob, place))

    async def upto(self, end: int, records: Sequence[Recorded]) -> AsyncIterator[list[Recorded]]:
        """Yield the records and all archived chunks up to `end`, in bounded lists."""
        await self._open_upto(end)
        gathered: list[Recorded] = []
        size = 0
        for record in records:
            async for chunk in self._before(record.sequence):
                gathered.append(chunk)
                size += len(chunk.body)
                if len(gathered) >= LIST_RECORDS_MAX or size >= LIST_BYTES_MAX:
                    yield gathered
                    gathered, size = [], 0
            if record.sequence > self._handed:
                self._handed = record.sequence
                gathered.append(record)
                size += len(record.body)
        if gathered:
            yield gathered

    async def _before(self, sequence: int) -> AsyncIterator[Recorded]:
        """Yield the archived chunks before `sequence` that were not returned yet."""
        while self._heads and self._heads[0][0] < sequence:
            _, number, chunk, cursor = heapq.heappop(self._heads)
            await self._push(number, cursor)
            if chunk.sequence > self._handed:
                self._handed = chunk.sequence
                yield chunk

    async def _open_upto(self, end: int) -> None:
        while self._expected and self._expected[0][0] <= end:
            place = heapq.heappop(self._expected)[2]
            if place.last_sequence > self._handed:
                cursor = self._open_cursor(place)
                self._stack.push_async_callback(cursor.aclose)
                self._opened += 1
                await self._push(self._opened, cursor)

    async def _push(self, number: int, cursor: ArchiveCursor) -> None:
        if (chunk := await cursor.next()) is not None:
            heapq.heappush(self._heads, (chunk.sequence, number, chunk, cursor))


class _Subjects:
    """Whether a subject is on one of the filters. The answers are cached, because subjects repeat."""

    def __init__(self, filters: Sequence[str]) -> None:
        self._filters = filters
        self._known: dict[str, bool] = {}

    def __call__(self, subject: str) -> bool:
        if len(self._known) > LIST_RECORDS_MAX:
            self._known.clear()
        if subject not in self._known:
            self._known[subject] = any(matches(each, subject) for each in self._filters)
        return self._known[subject]


def _without_body(record: Recorded) -> Recorded:
    headers = {**record.headers, MESSAGE_SIZE_HEADER: str(len(record.body))}
    return replace(record, headers=headers, body=b"")
