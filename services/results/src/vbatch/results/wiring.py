"""Builds the results service from its settings and runs it until it is asked to stop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

from vbatch.chassis.blobs import Blobs
from vbatch.chassis.health import serve_health
from vbatch.chassis.logs import get_logger
from vbatch.chassis.metrics import loop_lag, service_registry
from vbatch.chassis.process import Stop
from vbatch.journal.jetstream.journal import connect
from vbatch.journal.port import Journal
from vbatch.journal.settings import JournalSettings
from vbatch.results.adapters.figures import Figures
from vbatch.results.adapters.partials import FolderOfPartials
from vbatch.results.adapters.postgres import read_model
from vbatch.results.adapters.readiness import results_readiness
from vbatch.results.flows.serving import Progress, World, serve
from vbatch.results.settings import ResultsSettings

SERVICE = "results"


class ConnectionDead(Exception):
    """NATS will never answer this process again: a new one must start."""


async def run(settings: ResultsSettings, stop: Stop) -> None:
    async with connect(JournalSettings(url=settings.nats_url, name=SERVICE)) as journal:
        await journal.topology()
        async with _served(settings, journal) as (world, progress):
            await _until_stopped(world, progress, stop)


@asynccontextmanager
async def _served(settings: ResultsSettings, journal: Journal) -> AsyncIterator[tuple[World, Progress]]:
    if settings.postgres_url is None:
        raise ValueError("results needs a PostgreSQL")
    registry, progress, blobs = service_registry(SERVICE), Progress(), Blobs.from_url(settings.blob_url)
    figures = Figures(registry)
    async with read_model(settings.postgres_url.get_secret_value()) as model:
        readiness = results_readiness(journal, model, blobs, progress, lag_max=settings.lag_max, on_lag=figures.lagging)
        world = World(
            journal=journal,
            read_model=model,
            partials=FolderOfPartials(settings.results_folder),
            blobs=blobs,
            folder=settings.results_folder,
            pid=os.getpid(),
            now=lambda: datetime.now(UTC),
            on_committed=figures.committed,
            on_sealed=figures.sealed,
        )
        async with serve_health(readiness, registry, host=settings.host, port=settings.port) as port:
            get_logger().info("health_served", port=port)
            async with loop_lag(registry):
                yield world, progress
            readiness.begin_stopping()


async def _until_stopped(world: World, progress: Progress, stop: Stop) -> None:
    """Whichever comes first: the wish to stop, the death of the connection, the end of serving (never a good one)."""
    serving = asyncio.ensure_future(serve(world, progress))
    others = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(world.journal.dead_event.wait())]
    try:
        await asyncio.wait([serving, *others], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in others:
            task.cancel()
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving
    if world.journal.dead_event.is_set() and not stop.is_requested():
        raise ConnectionDead("the connection to NATS is dead")
