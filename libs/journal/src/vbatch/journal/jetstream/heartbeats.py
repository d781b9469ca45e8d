"""Heartbeats as plain NATS messages, which no stream keeps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from nats.aio.msg import Msg

from vbatch.journal.jetstream.connection import Connection

SUBJECTS = "alive.{service}"


class NatsHeartbeats:
    def __init__(self, connection: Connection, service: str) -> None:
        self._connection = connection
        self._subject = SUBJECTS.format(service=service)

    @property
    def is_connected(self) -> bool:
        return self._connection.is_connected

    async def beat(self) -> None:
        await self._connection.send(self._subject, b"")

    @asynccontextmanager
    async def listen(self, on_beat: Callable[[], None]) -> AsyncIterator[None]:
        async def heard(_message: Msg) -> None:
            on_beat()

        subscription = await self._connection.subscribe(self._subject, heard)
        try:
            yield
        finally:
            await self._connection.unsubscribe(subscription)
