"""Builds the results service from its settings and runs it until it is asked to stop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from prometheus_client import CollectorRegistry

from vbatch.chassis.blobs import open_blobs
from vbatch.chassis.clock import utc_now
from vbatch.chassis.crash_notes import NotesFile, tell_of_set_aside
from vbatch.chassis.disk_use import allowance_of
from vbatch.chassis.health import serve_health
from vbatch.chassis.log_space import report_waiting_writes
from vbatch.chassis.logs import get_logger
from vbatch.chassis.metrics import loop_lag, service_registry
from vbatch.chassis.process import Stop, until_stopped
from vbatch.chassis.readiness import Readiness
from vbatch.chassis.readings import Reading
from vbatch.chassis.reported_settings import settings_page
from vbatch.journal.archive import HistoricJournal, HistoricLog
from vbatch.journal.jetstream.journal import JetStreamJournal, connect
from vbatch.journal.port import Journal
from vbatch.journal.quarantine import QuarantineMeans
from vbatch.journal.settings import JournalSettings
from vbatch.journal.single_writer import Heartbeats
from vbatch.results.adapters.generations import PostgresGenerations
from vbatch.results.adapters.metrics import ResultsMetrics, lag_reading
from vbatch.results.adapters.nats_metrics import nats_reading
from vbatch.results.adapters.partials import FolderOfPartials
from vbatch.results.adapters.postgres import PostgresReadModel, read_model
from vbatch.results.adapters.postgres_metrics import postgres_reading
from vbatch.results.adapters.readiness import results_readiness
from vbatch.results.adapters.retention_file import RetentionFile
from vbatch.results.flows.archiving import ArchiveMeans, no_limit
from vbatch.results.flows.replaying import Progress as ReplayProgress, ReplayDependencies
from vbatch.results.flows.retaining import RetentionMeans
from vbatch.results.flows.serving import Dependencies, Progress, serve
from vbatch.results.flows.sweeping import SweepTimes
from vbatch.results.flows.tracing import Tracing, unsent_since
from vbatch.results.settings import ResultsSettings

SERVICE = "results"
CONNECT_SECONDS = 3.0
"""How long a command waits for the log; the service itself waits longer."""


async def run(settings: ResultsSettings, stop: Stop) -> None:
    async with connect(replace(JournalSettings.of(settings, SERVICE), waits_for_space=True)) as stream:
        await stream.topology()
        archive = _archive_means(settings, stream)
        journal = HistoricJournal(stream, archive.blobs)
        async with (
            _traced(settings, journal),
            _served(settings, journal, archive, stream.heartbeats) as (dependencies, progress),
        ):
            await until_stopped(stop, serve(dependencies, progress))


@asynccontextmanager
async def _served(
    settings: ResultsSettings, journal: Journal, archive: ArchiveMeans, heartbeats: Heartbeats
) -> AsyncIterator[tuple[Dependencies, Progress]]:
    registry, progress, blobs = service_registry(SERVICE), Progress(), open_blobs(settings.blob_url)
    metrics = ResultsMetrics(registry)
    async with read_model(_postgres_url(settings)) as model:
        readiness = results_readiness(journal, model, blobs, progress, lag_max=settings.lag_max)
        report_waiting_writes(journal.waiting_writes, readiness, registry)
        dependencies = Dependencies(
            journal=journal,
            read_model=model,
            partials=FolderOfPartials(settings.results_folder),
            blobs=blobs,
            folder=settings.results_folder,
            pid=os.getpid(),
            now=utc_now,
            on_committed=lambda committed: metrics.committed(committed, is_live=progress.position.is_caught_up),
            on_sealed=metrics.sealed,
            on_dead_letters=metrics.dead_letters,
            sweep_times=SweepTimes(settings.sweep_seconds, settings.sweep_grace_seconds),
            means=QuarantineMeans(_notes(settings), tell_of_set_aside(registry)),
            archive=archive,
            retention=RetentionMeans(
                RetentionFile(settings.retention_file), settings.sweep_seconds, metrics.retention_read
            ),
            heartbeats=heartbeats,
            is_standby=settings.standby,
        )
        readings = _readings(settings, journal, model, progress)
        async with _health_served(settings, readiness, registry, readings):
            yield dependencies, progress


@asynccontextmanager
async def _health_served(
    settings: ResultsSettings, readiness: Readiness, registry: CollectorRegistry, readings: dict[str, Reading]
) -> AsyncIterator[None]:
    pages = [settings_page(settings)]
    health = serve_health(readiness, registry, host=settings.host, port=settings.port, pages=pages, readings=readings)
    async with health as port:
        get_logger().info("health_served", port=port)
        async with loop_lag(registry):
            yield
        readiness.begin_stopping()


@asynccontextmanager
async def _traced(settings: ResultsSettings, journal: Journal) -> AsyncIterator[None]:
    """While the block runs, the trace of each batch that ends goes to the trace server, if one is named."""
    if settings.otlp_endpoint is None:
        yield
        return
    from vbatch.results.adapters.otlp import OtlpTraces  # a start without traces does not need it

    traces = OtlpTraces(settings.otlp_endpoint)
    tracing = Tracing(journal.log, traces.send, await unsent_since(journal.log), settings.trace_requests_share)
    task = asyncio.ensure_future(tracing.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        traces.close()


def _archive_means(settings: ResultsSettings, journal: JetStreamJournal) -> ArchiveMeans:
    blobs = open_blobs(settings.archives_url)
    allowance = allowance_of(settings.home, settings.disk_bytes_max)
    return ArchiveMeans(
        log=journal.log,
        history=HistoricLog(journal.log, blobs),
        purge=journal.log,
        dead=journal.dead,
        blobs=blobs,
        every_seconds=settings.sweep_seconds,
        grace_seconds=settings.archive_grace_seconds,
        disk_fill=allowance.fill if allowance else no_limit,
    )


def _readings(
    settings: ResultsSettings, journal: Journal, model: PostgresReadModel, progress: Progress
) -> dict[str, Reading]:
    readings = {
        "lag": lag_reading(journal.log, lambda: progress.position.sequence),
        "postgres": postgres_reading(model.database_reading),
    }
    if settings.nats_monitor_url is not None:
        readings["nats"] = nats_reading(settings.nats_monitor_url.rstrip("/"))
    return readings


@asynccontextmanager
async def rebuild_dependencies(
    settings: ResultsSettings, on_progress: Callable[[ReplayProgress], None]
) -> AsyncIterator[ReplayDependencies]:
    """What `vbatch rebuild` works with: the same log, database, folder and blobs as the service."""
    url = _postgres_url(settings)
    async with connect(replace(JournalSettings.of(settings, "rebuild"), connect_seconds=CONNECT_SECONDS)) as stream:
        yield ReplayDependencies(
            journal=HistoricJournal(stream, open_blobs(settings.archives_url)),
            generations=PostgresGenerations(url),
            open_model=lambda schema, folder: read_model(url, schema, folder),
            partials=lambda: FolderOfPartials(settings.results_folder),
            blobs=open_blobs(settings.blob_url),
            folder=settings.results_folder,
            pid=os.getpid(),
            now=utc_now,
            on_progress=on_progress,
            means=QuarantineMeans(_notes(settings)),
        )


def _notes(settings: ResultsSettings) -> NotesFile:
    """The file of the notes. A standby on the same machine has its own."""
    name = f"results-standby-{settings.port}" if settings.standby else "results"
    return NotesFile(settings.home / "run" / f"{name}.ends.json")


def _postgres_url(settings: ResultsSettings) -> str:
    if settings.postgres_url is None:
        raise ValueError("results needs a PostgreSQL")
    return settings.postgres_url.get_secret_value()
