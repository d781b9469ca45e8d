"""Builds the notifier from its settings and runs it until it is asked to stop."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from vbatch.chassis.clock import utc_now
from vbatch.chassis.health import serve_health
from vbatch.chassis.log_space import report_waiting_writes
from vbatch.chassis.logs import get_logger
from vbatch.chassis.metrics import loop_lag, service_registry
from vbatch.chassis.process import Stop, until_stopped
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


async def run(settings: NotifierSettings, stop: Stop) -> None:
    async with connect(replace(JournalSettings.of(settings, SERVICE), waits_for_space=True)) as journal:
        await journal.topology()
        async with _served(settings, journal) as (dependencies, progress):
            await until_stopped(stop, serve(dependencies, progress))


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
            on_exhausted=metrics.exhausted,
        )
        pages = [*delivery_pages(progress), settings_page(settings)]
        async with serve_health(readiness, registry, host=settings.host, port=settings.port, pages=pages) as port:
            get_logger().info("health_served", port=port)
            async with loop_lag(registry):
                yield dependencies, progress
            readiness.begin_stopping()
