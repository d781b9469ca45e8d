"""The DEAD stream: messages that could not be used, with the reason and their origin."""

from __future__ import annotations

from vbatch.contracts.message import Recorded
from vbatch.journal.jetstream.requests import Requests
from vbatch.journal.jetstream.stream import Stream
from vbatch.journal.jetstream.topology import DEAD_SUBJECTS
from vbatch.journal.port import DeadLetter, Origin
from vbatch.journal.rules import dead_letter_of, from_dead_letter
from vbatch.journal.settings import JournalSettings


class JetStreamDeadLetters:
    def __init__(self, requests: Requests, settings: JournalSettings) -> None:
        self._stream = Stream(
            requests, settings, settings.dead_stream, message_bytes_max=settings.dead_letter_bytes_max
        )

    async def append(self, record: Recorded, reason: str, origin: Origin = Origin.LOG) -> int:
        return await self._stream.append(dead_letter_of(record, reason, origin))

    async def list(self, after: int = 0, limit: int = 100) -> list[DeadLetter]:
        letters: list[DeadLetter] = []
        while len(letters) < limit:
            stored = await self._stream.first_after(after, DEAD_SUBJECTS)
            if stored is None:
                break
            letters.append(from_dead_letter(stored))
            after = stored.sequence
        return letters

    async def get(self, sequence: int) -> DeadLetter | None:
        stored = await self._stream.first_after(sequence - 1, DEAD_SUBJECTS) if sequence > 0 else None
        return from_dead_letter(stored) if stored is not None and stored.sequence == sequence else None

    async def drop(self, sequence: int) -> None:
        if sequence > 0:
            await self._stream.delete(sequence)

    async def count(self) -> int:
        return await self._stream.count()
