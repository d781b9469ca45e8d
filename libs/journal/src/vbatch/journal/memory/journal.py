"""The journal in memory: its three streams, with their readers and writers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from vbatch.journal.memory.dead_letters import MemoryDeadLetters
from vbatch.journal.memory.log import MemoryLog, MemoryPublisher
from vbatch.journal.memory.stream import MemoryStream, Now
from vbatch.journal.memory.work_queue import MemoryWorkQueue, Sleep
from vbatch.journal.port import Lease
from vbatch.journal.settings import JournalSettings
from vbatch.journal.space_wait import SpaceWait


class MemoryJournal:
    """One store shared by all its users. `now` and `sleep` are its only source of time."""

    def __init__(self, settings: JournalSettings, now: Now, sleep: Sleep = asyncio.sleep) -> None:
        log = self._stream(settings, now, settings.log_bytes_max, settings.message_bytes_max)
        work = self._stream(settings, now, settings.work_bytes_max, settings.message_bytes_max)
        dead = self._stream(settings, now, settings.dead_bytes_max, settings.dead_letter_bytes_max)
        self._log_stream = log
        self.log = MemoryLog(log, settings)
        self.dead = MemoryDeadLetters(dead)
        self.work = MemoryWorkQueue(work, self.dead, settings, now, sleep)
        self.dead_event = asyncio.Event()
        self.waiting_writes = SpaceWait()

    @property
    def is_connected(self) -> bool:
        return True

    @asynccontextmanager
    async def publisher(self, lease: Lease | None = None) -> AsyncIterator[MemoryPublisher]:
        publisher = MemoryPublisher(self._log_stream, lease)
        yield publisher
        await publisher.flush()

    async def topology(self) -> None:
        """Do nothing: the streams exist."""

    @staticmethod
    def _stream(settings: JournalSettings, now: Now, bytes_max: int, message_bytes_max: int) -> MemoryStream:
        return MemoryStream(settings, now, bytes_max=bytes_max, message_bytes_max=message_bytes_max)
