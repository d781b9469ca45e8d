"""Builds the labeler from its settings and runs it until it is asked to stop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from aiohttp.web import RouteDef
from prometheus_client import CollectorRegistry

from vbatch.chassis.blobs import open_blobs
from vbatch.chassis.clock import utc_now
from vbatch.chassis.files import write_atomically
from vbatch.chassis.health import serve_health
from vbatch.chassis.log_space import report_waiting_writes
from vbatch.chassis.logs import get_logger
from vbatch.chassis.metrics import loop_lag, service_registry
from vbatch.chassis.process import Stop, until_stopped
from vbatch.chassis.readiness import Readiness
from vbatch.chassis.reported_settings import settings_page
from vbatch.journal.jetstream.journal import connect
from vbatch.journal.port import Journal
from vbatch.journal.settings import JournalSettings
from vbatch.labeler.adapters.bell import bell_page
from vbatch.labeler.adapters.items import BlobItems
from vbatch.labeler.adapters.label_studio import label_studio
from vbatch.labeler.adapters.metrics import labeler_metrics
from vbatch.labeler.adapters.readiness import labeler_readiness
from vbatch.labeler.flows.serving import Progress, serve
from vbatch.labeler.ports import Dependencies
from vbatch.labeler.settings import LabelerSettings

SERVICE = "labeler"
BELL_SECRET = Path("secrets") / "labeler-bell"
BELL_SECRET_BYTES = 24


async def run(settings: LabelerSettings, stop: Stop) -> None:
    async with connect(replace(JournalSettings.of(settings, SERVICE), waits_for_space=True)) as journal:
        await journal.topology()
        async with _served(settings, journal) as (dependencies, progress):
            await until_stopped(stop, serve(dependencies, progress))


@asynccontextmanager
async def _served(settings: LabelerSettings, journal: Journal) -> AsyncIterator[tuple[Dependencies, Progress]]:
    registry, progress = service_registry(SERVICE), Progress()
    labeler_metrics(registry, progress)
    readiness = labeler_readiness(journal, progress)
    report_waiting_writes(journal.waiting_writes, readiness, registry)
    secret = "" if settings.bell_url is None else await asyncio.to_thread(bell_secret, settings.home)
    token = await asyncio.to_thread(lambda: settings.token)
    async with label_studio(settings.label_studio_url, token) as studio:
        dependencies = Dependencies(
            journal=journal,
            label_studio=studio,
            items=BlobItems(open_blobs(settings.blob_url)),
            pid=os.getpid(),
            now=utc_now,
            pull_seconds=settings.pull_seconds,
            full_scan_seconds=settings.full_scan_seconds,
            bell_url=settings.bell_url,
            bell_secret=secret,
        )
        bell = [] if settings.bell_url is None else [bell_page(progress.bell, secret)]
        async with _health_served(settings, readiness, registry, [*bell, settings_page(settings)]):
            yield dependencies, progress


@asynccontextmanager
async def _health_served(
    settings: LabelerSettings, readiness: Readiness, registry: CollectorRegistry, pages: list[RouteDef]
) -> AsyncIterator[None]:
    async with serve_health(readiness, registry, host=settings.host, port=settings.port, pages=pages) as port:
        get_logger().info("health_served", port=port)
        async with loop_lag(registry):
            yield
        readiness.begin_stopping()


def bell_secret(home: Path) -> str:
    """The secret with which Label Studio rings the bell; created once and kept."""
    path = home / BELL_SECRET
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(path, os.urandom(BELL_SECRET_BYTES).hex().encode(), mode=0o600)
    return path.read_text()
