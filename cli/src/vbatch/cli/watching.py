"""Follows a batch until it ends: its own events from the gateway, its runner's from the log if that can be read.

The runner's news (a model loads) is optional, so an unreachable log is not an error here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace

from vbatch.cli.api_types import Batch, read
from vbatch.cli.client import Server
from vbatch.cli.exits import CommandError
from vbatch.cli.forecast_text import forecast_line
from vbatch.cli.live import Progress
from vbatch.cli.loads import usual_load_seconds
from vbatch.client.core.live_events import event_of
from vbatch.contracts.codec import Unreadable, decode
from vbatch.contracts.events import BatchValidated
from vbatch.contracts.subjects import RUNNER_EVENTS
from vbatch.journal.jetstream import connect
from vbatch.journal.port import Unavailable
from vbatch.journal.settings import JournalSettings

NATS_SECONDS = 2.0
FORECAST_SECONDS = 2.0

OnChange = Callable[[Progress], None]


async def watch(server: Server, batch_id: str, log: JournalSettings | None, on_change: OnChange) -> Progress:
    """Return the ended batch; `on_change` is called after every event. Raises Unreachable and Refused."""
    progress = Progress()
    validated: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    runner_news = _runner_news(log, validated, progress, on_change)
    async with _beside(runner_news), _beside(_forecasts(server, batch_id, progress, on_change)):
        async with aclosing(server.events(batch_id)) as records:
            async for record in records:
                event = event_of(record)
                if event is None:
                    continue
                progress.apply(event)
                on_change(progress)
                if isinstance(event, BatchValidated) and not validated.done():
                    validated.set_result(record.id)
                if progress.is_over:
                    break
    return progress


async def _runner_news(
    log: JournalSettings | None, validated: asyncio.Future[int], progress: Progress, on_change: OnChange
) -> None:
    """Follow the runner's news once the batch is validated: its models are unknown before that."""
    after = await validated
    if log is None:
        return
    with suppress(Unavailable):
        settings = replace(log, connect_seconds=NATS_SECONDS)
        async with connect(settings) as journal, journal.log.tail(after, (RUNNER_EVENTS,)) as batches:
            progress.usual_load_seconds = await usual_load_seconds(journal.log)
            async for records in batches:
                for record in records:
                    with suppress(Unreadable):  # written by a newer version: it cannot be shown
                        progress.apply(decode(record))
                on_change(progress)


async def _forecasts(server: Server, batch_id: str, progress: Progress, on_change: OnChange) -> None:
    """Fetch what the batch waits for, without end. Without an answer the display just shows less."""
    while True:
        await asyncio.sleep(FORECAST_SECONDS)
        with suppress(CommandError):
            batch = read(await server.batch(batch_id), Batch)
            progress.forecast = " ".join(forecast_line(batch, time.time()))
            on_change(progress)


@asynccontextmanager
async def _beside(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run `work` while the block runs; it ends with the block, and only the block's own error is raised."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
