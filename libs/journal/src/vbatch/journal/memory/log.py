"""The event log in memory: appending, tailing, and publishing under a lease."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import takewhile

from vbatch.contracts.message import Message, Recorded
from vbatch.journal.memory.stream import MemoryStream
from vbatch.journal.port import (
    APPEND_ALL_MESSAGES_MAX,
    MESSAGE_SIZE_HEADER,
    Conflict,
    Fill,
    Full,
    Guard,
    Lease,
    Rejected,
)
from vbatch.journal.rules import check_filter, outgoing_headers, wire_bytes
from vbatch.journal.settings import JournalSettings


class MemoryLog:
    def __init__(self, stream: MemoryStream, settings: JournalSettings) -> None:
        self._stream = stream
        self._settings = settings

    async def append(self, message: Message, guard: Guard | None = None) -> int:
        if guard is not None:
            check_filter(guard.subject_filter)
        return self._stream.append(message, guard)

    async def append_all(self, messages: Sequence[Message], guard: Guard | None = None) -> int:
        if not 1 <= len(messages) <= APPEND_ALL_MESSAGES_MAX:
            raise Rejected(f"{len(messages)} messages at once; 1 to {APPEND_ALL_MESSAGES_MAX} are possible")
        size = sum(wire_bytes(outgoing_headers(m), m.body) for m in messages)
        if size > self._settings.append_all_bytes_max:
            raise Rejected(f"{size} bytes at once, the limit is {self._settings.append_all_bytes_max}")
        return self._stream.append_all(messages, guard)

    async def last(self, subject_filter: str) -> Recorded | None:
        return self._stream.last(subject_filter)

    async def last_sequence(self) -> int:
        return len(self._stream.records)

    async def fill(self) -> Fill:
        return self._stream.fill()

    async def purge(self, subject: str, through: int) -> int:
        return self._stream.purge(subject, through)

    async def acquire(self, message: Message) -> Lease:
        guard = Guard(message.subject, self._stream.last_on(message.subject))
        return Lease(message.subject, self._stream.append(message, guard))

    @asynccontextmanager
    async def tail(
        self, after: int, subjects: Sequence[str] = ("evt.>",), *, headers_only: bool = False
    ) -> AsyncIterator[AsyncIterator[list[Recorded]]]:
        for subject in subjects:
            check_filter(subject)
        yield MemoryTail(self._stream, self._settings.tail_buffer_bytes, after, subjects, headers_only)


class MemoryTail(AsyncIterator[list[Recorded]]):
    def __init__(
        self, stream: MemoryStream, bytes_max: int, after: int, subjects: Sequence[str], headers_only: bool
    ) -> None:
        self._stream = stream
        self._bytes_max = bytes_max
        self._after = after
        self._subjects = subjects
        self._headers_only = headers_only

    async def __anext__(self) -> list[Recorded]:
        while not (records := self._stream.after(self._after, self._subjects)):
            await self._stream.grown()
        records = self._bounded(records)
        self._after = records[-1].sequence
        return [_without_body(r) for r in records] if self._headers_only else records

    def _bounded(self, records: list[Recorded]) -> list[Recorded]:
        room = self._bytes_max

        def fits(record: Recorded) -> bool:
            nonlocal room
            room -= wire_bytes(record.headers, record.body)
            return room >= 0

        return list(takewhile(fits, records)) or records[:1]


def _without_body(record: Recorded) -> Recorded:
    headers = {**record.headers, MESSAGE_SIZE_HEADER: str(len(record.body))}
    return replace(record, headers=headers, body=b"")


class MemoryPublisher:
    def __init__(self, stream: MemoryStream, lease: Lease | None) -> None:
        self._stream = stream
        self._guard = lease.guard() if lease else None
        self._last = 0
        self._failure: Conflict | Full | None = None

    async def publish(
        self,
        message: Message,
        on_stored: Callable[[int], None] | None = None,
        on_refused: Callable[[Rejected], None] | None = None,
    ) -> None:
        self._raise_failure()
        try:
            self._last = self._stream.append(message, self._guard)
        except Rejected as refusal:
            if on_refused is None:
                raise
            on_refused(refusal)
            return
        except (Conflict, Full) as failure:
            self._failure = failure  # raised by the next call, as a pipeline would
            return
        if on_stored is not None:
            on_stored(self._last)

    async def flush(self) -> int:
        self._raise_failure()
        return self._last

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise type(self._failure)(str(self._failure)) from self._failure
