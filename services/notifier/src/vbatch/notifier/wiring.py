"""Builds the notifier from its settings and runs it until it is asked to stop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from vbatch.chassis.clock import utc_now
from vbatch.chassis.health import serve_health
from vbatch.chassis.log_space import report_waiting_writes
from vbatch.chassis.logs import get_logger
from vbatch.chassis.metrics import loop_lag, service_registry
from vbatch.chassis.process import Stop
from vbatch.chassis.reported_settings import settings_page
from vbatch.chassis.sealed import SealedFolder
from vbatch.journal.jetstream.journal import connect
from vbatch.journal.port import Journal
from vbatch.journal.settings import JournalSettings
from vbatch.notifier.adapters.metrics import NotifierMetrics
from vbatch.notifier.adapters.pages import delivery_pages
from vbatch.notifier.adapters.readiness import notifier_readiness
from vbatch.notifier.adapters.secrets import SealedSecrets
from vbatch.notifier.adapters.sender import http_sender
from vbatch.notifier.flows.serving import Progress, serve
from vbatch.notifier.ports import Dependencies
from vbatch.notifier.settings import NotifierSettings

SERVICE = "notifier"


class ConnectionDead(Exception):
    """NATS will never answer this process again: a new one must start."""


async def run(settings: NotifierSettings, stop: Stop) -> None:
    async with connect(replace(JournalSettings.of(settings, SERVICE), waits_for_space=True)) as journal:
        await journal.topology()
        async with _served(settings, journal) as (dependencies, progress):
            await _until_stopped(dependencies, progress, stop)


@asynccontextmanager
async def _served(settings: NotifierSettings, journal: Journal) -> AsyncIterator[tuple[Dependencies, Progress]]:
    registry, progress = service_registry(SERVICE), Progress()
    metrics, readiness = NotifierMetrics(registry, progress), notifier_readiness(journal, progress)
    report_waiting_writes(journal.waiting_writes, readiness, registry)
    async with http_sender(may_be_private=settings.webhooks_allow_private) as sender:
        dependencies = Dependencies(
            journal=journal,
            sender=sender,
            secrets=SealedSecrets(SealedFolder(settings.webhook_secrets_folder)),
            pid=os.getpid(),
            now=utc_now,
            on_tried=metrics.tried,
        )
        pages = [*delivery_pages(progress), settings_page(settings)]
        async with serve_health(readiness, registry, host=settings.host, port=settings.port, pages=pages) as port:
            get_logger().info("health_served", port=port)
            async with loop_lag(registry):
                yield dependencies, progress
            readiness.begin_stopping()


async def _until_stopped(dependencies: Dependencies, progress: Progress, stop: Stop) -> None:
    """Whichever comes first: the wish to stop, the death of the connection, the end of serving (never a good one)."""
    serving = asyncio.ensure_future(serve(dependencies, progress))
    others = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(dependencies.journal.dead_event.wait())]
    try:
        await asyncio.wait([serving, *others], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in others:
            task.cancel()
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving
    if dependencies.journal.dead_event.is_set() and not stop.is_requested():
        raise ConnectionDead("the connection to NATS is dead")
