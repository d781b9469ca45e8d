"""The EVT stream: append, tail, and the leases that fence its single writers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from vbatch.contracts.message import Message, Recorded
from vbatch.journal.jetstream.requests import Requests
from vbatch.journal.jetstream.stream import Stream
from vbatch.journal.jetstream.tail import Tail
from vbatch.journal.port import Conflict, Fill, Guard, Lease
from vbatch.journal.settings import JournalSettings


class JetStreamLog:
    def __init__(self, requests: Requests, settings: JournalSettings) -> None:
        self.stream = Stream(requests, settings, settings.log_stream)
        self._requests = requests
        self._settings = settings

    async def append(self, message: Message, guard: Guard | None = None) -> int:
        return await self.stream.append(message, guard)

    async def append_all(self, messages: Sequence[Message], guard: Guard | None = None) -> int:
        return await self.stream.append_all(messages, guard)

    async def last(self, subject_filter: str) -> Recorded | None:
        return await self.stream.last(subject_filter)

    async def last_sequence(self) -> int:
        return await self.stream.last_sequence()

    async def fill(self) -> Fill:
        return await self.stream.fill()

    async def purge(self, subject: str, through: int) -> int:
        return await self.stream.purge(subject, through)

    @asynccontextmanager
    async def tail(
        self, after: int, subjects: Sequence[str] = ("evt.>",), *, headers_only: bool = False
    ) -> AsyncIterator[AsyncIterator[list[Recorded]]]:
        tail = Tail(self._requests, self._settings, after=after, subjects=subjects, headers_only=headers_only)
        try:
            yield tail
        finally:
            await tail.aclose()

    async def acquire(self, message: Message) -> Lease:
        while True:
            newest = await self.last(message.subject)
            guard = Guard(message.subject, newest.sequence if newest else 0)
            try:
                return Lease(message.subject, await self.append(message, guard))
            except Conflict:
                continue  # another process was faster; the later of the two wins
