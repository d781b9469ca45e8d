"""How often the gateway asks the scheduler: while somebody looks, and seldom else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from vbatch.contracts.forecast import Forecast
from vbatch.gateway.adapters import scheduler
from vbatch.gateway.adapters.scheduler import SchedulerFeed

EMPTY = Forecast(at=datetime(2026, 1, 1, tzinfo=UTC), batches=())


@dataclass
class Scheduler:
    """Counts how often its queue was read."""

    reads: int = 0

    async def queue(self, _request: web.Request) -> web.Response:
        self.reads += 1
        return web.Response(body=msgspec.json.encode(EMPTY), content_type="application/json")

    async def until_read(self, times: int) -> None:
        async with asyncio.timeout(5):
            while self.reads < times:  # noqa: ASYNC110  # a server has no way to say so
                await asyncio.sleep(0.005)


@asynccontextmanager
async def feed_of(behind: Scheduler) -> AsyncIterator[SchedulerFeed]:
    app = web.Application()
    app.router.add_get("/queue", behind.queue)
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        feed = SchedulerFeed(str(server.make_url("")), http)
        running = asyncio.ensure_future(feed.run())
        try:
            yield feed
        finally:
            running.cancel()


async def test_nobody_looks_and_the_scheduler_is_left_alone_until_somebody_does(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scheduler, "FETCH_EVERY_SECONDS", 0.01)
    monkeypatch.setattr(scheduler, "REST_SECONDS_MAX", 60.0)
    behind = Scheduler()
    async with feed_of(behind) as feed:
        await behind.until_read(1)
        await asyncio.sleep(0.1)
        at_rest = behind.reads
        shown = feed.forecast()
        await behind.until_read(2)

    assert at_rest == 1
    assert shown == EMPTY


async def test_without_any_look_the_forecast_is_still_renewed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scheduler, "FETCH_EVERY_SECONDS", 0.01)
    monkeypatch.setattr(scheduler, "REST_SECONDS_MAX", 0.02)
    behind = Scheduler()
    async with feed_of(behind):
        await behind.until_read(3)
