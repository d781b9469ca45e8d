"""Follows how far results has projected the log, as PostgreSQL notifies it, so that writes can be read back at once."""

from __future__ import annotations

import asyncio

import asyncpg

from vbatch.chassis.logs import get_logger
from vbatch.contracts.read_model import PROJECTED_CHANNEL
from vbatch.gateway.adapters.postgres import CHECKPOINT, CONNECT_SECONDS_MAX, SEARCH_PATH, TROUBLE

POLL_SECONDS = 1.0
RECONNECT_SECONDS = 0.5


class ProjectionFeed:
    """Listens while `run` runs, on its own connection; also polls in case a notification is lost."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._reached = -1
        self._is_lost = False
        self._waiting: set[tuple[int, asyncio.Future[None]]] = set()

    async def reaches(self, sequence: int, seconds_max: float) -> bool:
        """Implements ports.Projection."""
        if self._reached >= sequence:
            return True
        waiter = (sequence, asyncio.get_running_loop().create_future())
        self._waiting.add(waiter)
        try:
            async with asyncio.timeout(seconds_max):
                await waiter[1]
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(waiter)
        return True

    async def run(self) -> None:
        """Run until cancelled, reconnecting after the database was lost."""
        while True:
            try:
                await self._listen()
            except TROUBLE as error:
                if not self._is_lost:
                    get_logger().warning("projection_feed_lost", error=f"{type(error).__name__}: {error}")
                self._is_lost = True
                self._reached = -1
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen(self) -> None:
        connection = await asyncpg.connect(
            self._url, timeout=CONNECT_SECONDS_MAX, command_timeout=CONNECT_SECONDS_MAX, server_settings=SEARCH_PATH
        )
        try:
            await connection.add_listener(PROJECTED_CHANNEL, self._on_notice)
            while True:
                self._reach(await connection.fetchval(CHECKPOINT))
                await asyncio.sleep(POLL_SECONDS)
        finally:
            connection.terminate()

    def _on_notice(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        self._reach(int(str(payload)))

    def _reach(self, sequence: int) -> None:
        self._reached = sequence
        self._is_lost = False
        for wanted, future in self._waiting:
            if wanted <= sequence and not future.done():
                future.set_result(None)
