"""Dead letters in memory."""

from __future__ import annotations

from itertools import islice

from vbatch.contracts.message import Recorded
from vbatch.journal.memory.stream import MemoryStream
from vbatch.journal.port import DeadLetter, Origin
from vbatch.journal.rules import dead_letter_of, from_dead_letter


class MemoryDeadLetters:
    def __init__(self, stream: MemoryStream) -> None:
        self._stream = stream
        self._dropped: set[int] = set()

    async def append(self, record: Recorded, reason: str, origin: Origin = Origin.LOG) -> int:
        return self._stream.append(dead_letter_of(record, reason, origin))

    async def list(self, after: int = 0, limit: int = 100) -> list[DeadLetter]:
        kept = (record for record in self._stream.records[after:] if record.sequence not in self._dropped)
        return [from_dead_letter(record) for record in islice(kept, limit)]

    async def get(self, sequence: int) -> DeadLetter | None:
        found = await self.list(sequence - 1, 1) if sequence > 0 else []
        return next((letter for letter in found if letter.sequence == sequence), None)

    async def drop(self, sequence: int) -> None:
        if 0 < sequence <= len(self._stream.records):
            self._dropped.add(sequence)

    async def count(self) -> int:
        return len(self._stream.records) - len(self._dropped)
