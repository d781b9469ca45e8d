"""How often the gateway asks the scheduler: while somebody looks, and seldom else. On a clock that jumps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import cast

import aiohttp
import msgspec

from tests.simulation.loop import SimulatedLoop
from vbatch.contracts.forecast import Forecast
from vbatch.gateway.adapters.scheduler import FETCH_EVERY_SECONDS, REST_SECONDS_MAX, SchedulerFeed

EMPTY = Forecast(at=datetime(2026, 1, 1, tzinfo=UTC), batches=())
SOON = 0.1
"""Behind a moment, and long before the next."""


@dataclass
class Scheduler:
    """Answers at once, as an HTTP session would hand it on, and counts how often its queue was read."""

    reads: int = 0
    status: int = 200

    @asynccontextmanager
    async def get(self, url: str, **_options: object) -> AsyncIterator[Scheduler]:
        assert url == "http://scheduler/queue"
        self.reads += 1
        yield self

    @property
    def content(self) -> Scheduler:
        return self

    async def read(self, _bytes_max: int) -> bytes:
        return msgspec.json.encode(EMPTY)


def followed(story: Callable[[Scheduler, SchedulerFeed], Awaitable[None]]) -> None:
    loop = SimulatedLoop(Random(1))
    try:
        loop.run_until_complete(_follow(story))
    finally:
        loop.end()


async def _follow(story: Callable[[Scheduler, SchedulerFeed], Awaitable[None]]) -> None:
    behind = Scheduler()
    feed = SchedulerFeed("http://scheduler/", cast(aiohttp.ClientSession, behind))
    running = asyncio.ensure_future(feed.run())
    await story(behind, feed)
    running.cancel()


def test_nobody_looks_and_the_scheduler_is_left_alone_until_somebody_does():
    async def story(behind: Scheduler, feed: SchedulerFeed) -> None:
        await asyncio.sleep(REST_SECONDS_MAX - SOON)
        assert behind.reads == 1
        assert feed.forecast() == EMPTY
        await asyncio.sleep(SOON / 2)
        assert behind.reads == 2

    followed(story)


def test_while_somebody_looks_the_forecast_is_renewed_every_second():
    async def story(behind: Scheduler, feed: SchedulerFeed) -> None:
        await asyncio.sleep(SOON)
        for second in range(1, 5):
            assert behind.reads == second
            feed.forecast()
            await asyncio.sleep(FETCH_EVERY_SECONDS)

    followed(story)


def test_without_any_look_the_forecast_is_still_renewed():
    async def story(behind: Scheduler, feed: SchedulerFeed) -> None:
        await asyncio.sleep(2 * REST_SECONDS_MAX + SOON)
        assert behind.reads == 3

    followed(story)
