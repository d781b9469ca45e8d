"""Assembles the parts on one connection; opening it creates nothing on the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from vbatch.journal.jetstream import topology
from vbatch.journal.jetstream.connection import Connection
from vbatch.journal.jetstream.dead import JetStreamDeadLetters
from vbatch.journal.jetstream.heartbeats import NatsHeartbeats
from vbatch.journal.jetstream.log import JetStreamLog
from vbatch.journal.jetstream.publisher import JetStreamPublisher, publishing
from vbatch.journal.jetstream.requests import Requests
from vbatch.journal.jetstream.snapshot import Snapshot, SnapshotHead, restore
from vbatch.journal.jetstream.work import JetStreamWorkQueue
from vbatch.journal.port import Lease
from vbatch.journal.settings import JournalSettings
from vbatch.journal.space_wait import SpaceWait


class JetStreamJournal:
    def __init__(self, requests: Requests, settings: JournalSettings) -> None:
        self._requests = requests
        self._settings = settings
        self.log = JetStreamLog(requests, settings)
        self.dead = JetStreamDeadLetters(requests, settings)
        self.work = JetStreamWorkQueue(requests, settings, self.dead)
        self.heartbeats = NatsHeartbeats(requests.connection, settings.name)

    @property
    def waiting_writes(self) -> SpaceWait:
        return self._requests.space

    @property
    def is_connected(self) -> bool:
        return self._requests.connection.is_connected

    @property
    def dead_event(self) -> asyncio.Event:
        return self._requests.connection.dead

    def publisher(self, lease: Lease | None = None) -> AbstractAsyncContextManager[JetStreamPublisher]:
        return publishing(self._requests, self._settings, self.log.stream, lease)

    def snapshot(self, stream: str) -> Snapshot:
        return Snapshot(self._requests, stream)

    async def restore(self, stream: str, head: SnapshotHead, pieces: AsyncIterator[bytes]) -> None:
        await restore(self._requests, stream, head, pieces)

    async def topology(self) -> None:
        await topology.provide(self._requests, self._settings)


@asynccontextmanager
async def connect(settings: JournalSettings) -> AsyncIterator[JetStreamJournal]:
    """Connect, then reconnect without limit. Raises Unavailable when no server answers within `connect_seconds`."""
    async with (
        Connection(settings) as connection,
        Requests(
            connection,
            space_wait_of(settings),
            attempt_seconds=settings.attempt_seconds,
            deadline_seconds=settings.deadline_seconds,
        ) as requests,
    ):
        yield JetStreamJournal(requests, settings)


def space_wait_of(settings: JournalSettings) -> SpaceWait:
    return SpaceWait(
        settings.store_folder,
        free_bytes_min=settings.store_free_bytes_min,
        retry_seconds=settings.space_retry_seconds,
    )
