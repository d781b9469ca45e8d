"""A journal whose log is the whole history. Every other part is that of the journal that it wraps."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager

from vbatch.journal.archive.history import ArchiveBlobs, HistoricLog
from vbatch.journal.port import DeadLetters, Journal, Lease, Log, Publisher, WaitingWrites, WorkQueue


class HistoricJournal:
    def __init__(self, journal: Journal, blobs: ArchiveBlobs) -> None:
        self._journal = journal
        self._log = HistoricLog(journal.log, blobs)

    @property
    def waiting_writes(self) -> WaitingWrites:
        return self._journal.waiting_writes

    @property
    def log(self) -> Log:
        return self._log

    @property
    def work(self) -> WorkQueue:
        return self._journal.work

    @property
    def dead(self) -> DeadLetters:
        return self._journal.dead

    @property
    def is_connected(self) -> bool:
        return self._journal.is_connected

    @property
    def dead_event(self) -> asyncio.Event:
        return self._journal.dead_event

    def publisher(self, lease: Lease | None = None) -> AbstractAsyncContextManager[Publisher]:
        return self._journal.publisher(lease)

    async def topology(self) -> None:
        await self._journal.topology()
