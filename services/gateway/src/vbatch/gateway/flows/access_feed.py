"""Follows keys, quotas, limits, webhook endpoints, the pause of all work and the drains of runners in the log, from its
beginning and without an end, so that every gateway learns what one of them changes."""

from __future__ import annotations

import asyncio

from vbatch.chassis.logs import get_logger
from vbatch.contracts.codec import Unreadable, decode
from vbatch.contracts.message import Recorded
from vbatch.contracts.subjects import (
    KEY_EVENTS,
    LIMITS_EVENTS,
    OWNER_EVENTS,
    QUEUE_EVENTS,
    RUNNER_DRAINS,
    RUNNER_LEASES,
    WEBHOOK_CHANGES,
)
from vbatch.gateway.core.access import Access
from vbatch.gateway.core.queue_pause import QueuePause
from vbatch.gateway.core.runner_drains import RunnerDrains
from vbatch.gateway.core.webhooks import Endpoints
from vbatch.journal.port import Log, Unavailable

SUBJECTS = (KEY_EVENTS, OWNER_EVENTS, LIMITS_EVENTS, QUEUE_EVENTS, RUNNER_LEASES, *RUNNER_DRAINS, *WEBHOOK_CHANGES)
RETRY_SECONDS = 0.5


class AccessFeed:
    def __init__(self, log: Log, access: Access) -> None:
        self.access = access
        self.endpoints = Endpoints()
        self.queue_pause = QueuePause()
        self.runner_drains = RunnerDrains()
        self._log = log
        self._grown = asyncio.Event()

    async def run(self) -> None:
        """Run until cancelled. When the log is unreachable, wait for it; what is known stays in force meanwhile."""
        while True:
            try:
                await self._follow()
            except Unavailable as error:
                get_logger().warning("access_feed_lost", reason=str(error))
            await asyncio.sleep(RETRY_SECONDS)

    async def caught_up(self) -> None:
        """Wait until everything that the log held at the start is folded."""
        while not self.access.is_caught_up:
            await self._grown.wait()

    async def reaches(self, sequence: int, seconds_max: float) -> bool:
        """Wait until everything up to `sequence` is in force here; False when that takes too long."""
        try:
            async with asyncio.timeout(seconds_max):
                while self.access.sequence < sequence:
                    await self._grown.wait()
        except TimeoutError:
            return False
        return True

    async def _follow(self) -> None:
        head = await self._head()
        async with self._log.tail(self.access.sequence, SUBJECTS) as tail:
            self._pass(head)
            async for records in tail:
                for record in records:
                    self._fold(record)
                self._pass(head)

    async def _head(self) -> int:
        newest = [await self._log.last(subject) for subject in SUBJECTS]
        return max((record.sequence for record in newest if record is not None), default=0)

    def _fold(self, record: Recorded) -> None:
        try:
            event = decode(record)
            self.access.evolve(event, record.sequence)
            self.endpoints.evolve(event)
            self.queue_pause.evolve(event)
            self.runner_drains.evolve(event, record.sequence)
        except Unreadable as error:
            # A newer version of this server wrote the event. A right that this version does not know is not granted.
            get_logger().error("access_event_passed_over", sequence=record.sequence, reason=str(error))
            self.access.sequence = record.sequence

    def _pass(self, head: int) -> None:
        if self.access.sequence >= head and not self.access.is_caught_up:
            self.access.is_caught_up = True
            get_logger().info("access_known", keys=len(self.access.keys))
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()
