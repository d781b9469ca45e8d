"""Builds the gateway from its configuration and serves it until it is asked to stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

import aiohttp
import uvicorn
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from uvicorn.config import Config

from vbatch.chassis import listening
from vbatch.chassis.blobs import Blobs, open_blobs
from vbatch.chassis.clock import utc_now
from vbatch.chassis.logs import get_logger
from vbatch.chassis.metrics import loop_lag, service_registry
from vbatch.chassis.process import Stop, until_stopped
from vbatch.chassis.readings import Readings, readiness_reading
from vbatch.chassis.reported_settings import reported_settings
from vbatch.chassis.sealed import SealedFolder
from vbatch.chassis.shared_token import provided_token
from vbatch.chassis.tls import ServerCertificate, context_factory, renewing, server_certificate
from vbatch.gateway.adapters.curation_reads import PostgresCurationReads
from vbatch.gateway.adapters.demands import SchedulerDemands
from vbatch.gateway.adapters.disk_guard import Disk, MeasuredDiskGuard
from vbatch.gateway.adapters.http import (
    access,
    administration,
    answer_lines,
    batches,
    comparisons,
    datasets,
    evaluations,
    event_log,
    fanouts,
    files,
    interactive,
    judgements,
    labelings,
    logs,
    models,
    queue,
    server,
    service,
    timeline,
    uploads,
    usage,
    webhooks,
)
from vbatch.gateway.adapters.http.app_state import AppState
from vbatch.gateway.adapters.http.connection import ConnectionLimits, connection_class
from vbatch.gateway.adapters.http.describe import describe
from vbatch.gateway.adapters.http.errors import add_error_answers
from vbatch.gateway.adapters.http.guide import add_guide
from vbatch.gateway.adapters.http.request_metrics import RequestMetrics
from vbatch.gateway.adapters.http.request_middleware import BodyTimeouts, RequestMiddleware
from vbatch.gateway.adapters.http.service_gate import ServiceGate
from vbatch.gateway.adapters.input_lines import InputLines
from vbatch.gateway.adapters.interactive_metrics import InteractiveMetrics
from vbatch.gateway.adapters.known_secrets import known_secrets
from vbatch.gateway.adapters.lanes import RunnerLanes
from vbatch.gateway.adapters.log_folder import log_folder
from vbatch.gateway.adapters.measured_projection import MeasuredProjection
from vbatch.gateway.adapters.notifier import notifier_pages
from vbatch.gateway.adapters.postgres import PostgresReads, open_reads
from vbatch.gateway.adapters.projection import ProjectionFeed
from vbatch.gateway.adapters.readiness import gateway_readiness
from vbatch.gateway.adapters.scheduler import SchedulerFeed, scheduler_feed
from vbatch.gateway.adapters.service_watch import ServiceWatch, WatchedService
from vbatch.gateway.adapters.settings_watch import SettingsWatch
from vbatch.gateway.adapters.sse import OpenStreams
from vbatch.gateway.adapters.storage_metrics import storage_reading
from vbatch.gateway.adapters.text_search import TextSearch
from vbatch.gateway.core.access import Access
from vbatch.gateway.core.admission import Admission
from vbatch.gateway.core.disk_guard import Watermark
from vbatch.gateway.core.rate_limits import KeyLimits, RateLimit
from vbatch.gateway.flows.access_feed import AccessFeed
from vbatch.gateway.flows.administration import Administration
from vbatch.gateway.flows.curation.dataset_sweep import DatasetSweep
from vbatch.gateway.flows.curation.datasets import Datasets
from vbatch.gateway.flows.curation.evaluations import Evaluations
from vbatch.gateway.flows.curation.judgements import Judgements
from vbatch.gateway.flows.curation.labelings import Labelings
from vbatch.gateway.flows.event_log import Ownership
from vbatch.gateway.flows.interactive import Interactive
from vbatch.gateway.flows.model_feed import ModelFeed
from vbatch.gateway.flows.model_loads import ModelLoads
from vbatch.gateway.flows.models import register_models
from vbatch.gateway.flows.stray_sweep import StraySweep
from vbatch.gateway.flows.upload_sweep import UploadSweep
from vbatch.gateway.flows.webhooks import Webhooks
from vbatch.gateway.ports import Deliveries, Dependencies, ReportsSettings, Services
from vbatch.gateway.settings import Configuration, GatewaySettings
from vbatch.journal.archive import HistoricLog
from vbatch.journal.connection_watch import connection_lost
from vbatch.journal.jetstream import connect
from vbatch.journal.port import Journal, Log
from vbatch.journal.settings import JournalSettings

SERVICE = "gateway"
LOGS_FOLDER = "logs"
"""Below the home, where the local stack keeps them."""
DRAIN_SECONDS_MAX = 5
KEEP_ALIVE_SECONDS = 75

DESCRIPTION = """An OpenAI-compatible batch server: the official clients work with `base_url` set to its `/v1`.

Beyond OpenAI's routes: `GET /v1/batches/{batch_id}/results` gives answers while a batch runs, and
`GET /v1/batches/{batch_id}/events` is its live event stream. `GET /v1/batches/{batch_id}/why` says what it waits for,
`GET /v1/queue` when your batches run. `GET /v1/events` is the log as a list and as a stream,
`GET /v1/batches/{batch_id}/lines` shows requests with their answers, `GET /v1/server` says how the server is.

A key has scopes: `read` looks, `user` makes and changes as well, `admin` rules over all owners. The scope that a route
needs stands beside its security scheme. `GET /v1/me` says who you are."""


class Duty(Protocol):
    async def run(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Watched:
    """What the other services say of themselves, and of their settings."""

    services: Services
    settings: ReportsSettings


def create_app(parts: AppState, *, traced: bool = False, guide_folder: Path | None = None) -> FastAPI:
    """Build the ASGI application on open parts; it opens and closes nothing itself."""
    app = FastAPIOffline(  # the pages of /docs come from here, not from a CDN
        title="vLLM Batch Server",
        description=DESCRIPTION,
        redoc_url=None,
        static_url="/docs/assets",
        redirect_slashes=False,
    )
    app.state.parts = parts
    routers = [
        each.router
        for each in (
            files,
            uploads,
            batches,
            fanouts,
            answer_lines,
            timeline,
            comparisons,
            usage,
            logs,
            queue,
            event_log,
            models,
            interactive,
            webhooks,
            judgements,
            datasets,
            labelings,
            evaluations,
            access,
            administration,
            server,
            service,
        )
    ]
    for router in routers:
        app.include_router(router)
    add_error_answers(app, [route for router in routers for route in router.routes])
    describe(app)
    if guide_folder is not None:
        add_guide(app, guide_folder)
    app.add_middleware(interactive.InteractiveShortcut)
    app.add_middleware(
        ServiceGate,
        admit=lambda key, address: parts.admission.admit(key, address, parts.dependencies.now()),
        is_open=parts.has_open_pages,
    )
    app.add_middleware(RequestMiddleware, metrics=parts.metrics, body_timeouts=parts.body_timeouts)
    if traced:
        from opentelemetry.instrumentation.fastapi import (
            FastAPIInstrumentor,
        )  # a start without traces skips it

        FastAPIInstrumentor.instrument_app(app, excluded_urls="/health,/ready,/metrics")
    return app


async def run(configuration: Configuration, stop: Stop) -> None:
    """Serve until `stop`. Raises PortTaken, ConnectionLost, or Unavailable if NATS is unreachable."""
    settings = configuration.settings
    certificate = server_certificate(settings.tls_certificate_file, settings.tls_key_file)
    with listening_socket(settings) as listener:
        async with open_parts(configuration) as (parts, journal), renewing(certificate):
            is_traced = settings.otlp_endpoint is not None
            app = create_app(parts, traced=is_traced, guide_folder=settings.guide_folder)
            async with serving(app, parts, listener, connection_limits(settings), certificate):
                await until_stopped(stop, connection_lost(journal))


def listening_socket(settings: GatewaySettings) -> socket.socket:
    """Raises PortTaken."""
    return listening.listening_socket(settings.host, settings.port)


@asynccontextmanager
async def open_parts(configuration: Configuration) -> AsyncIterator[tuple[AppState, Journal]]:
    """Open everything the application needs, and bring the registry in line with models.toml."""
    settings = configuration.settings
    if settings.postgres_url is None:
        raise ValueError("the gateway needs a PostgreSQL")
    url = settings.postgres_url.get_secret_value()
    async with (
        connect(_journal_settings(settings)) as journal,
        open_reads(url) as reads,
        _following(ProjectionFeed(url)) as projection,
        scheduler_feed(settings.scheduler_url) as forecasts,
        notifier_pages(settings.notifier_url) as deliveries,
        aiohttp.ClientSession() as http,
        _lane_session() as lane_http,
    ):
        await journal.topology()
        watched = Watched(ServiceWatch(_watched(settings), http), SettingsWatch(_watched(settings), http))
        model_feed = ModelFeed(journal.log)
        interactive_lane = await _interactive(settings, lane_http, model_feed)
        parts = _parts(configuration, journal, reads, projection, forecasts, deliveries, watched, interactive_lane)
        await _sweep(parts.dependencies.blobs)
        changed = await register_models(parts.dependencies, configuration.models)
        get_logger().info("models_registered", models=len(configuration.models), changed=changed)
        sweeps = (UploadSweep(parts.dependencies), StraySweep(parts.dependencies), DatasetSweep(parts.dependencies))
        duties = _beside(forecasts, parts.feed, model_feed, *sweeps)
        async with loop_lag(parts.registry), duties:
            await parts.feed.caught_up()
            await model_feed.caught_up()
            _tell_of_keys(parts.access)
            yield parts, journal


@asynccontextmanager
async def serving(
    app: FastAPI,
    parts: AppState,
    listener: socket.socket,
    limits: ConnectionLimits,
    certificate: ServerCertificate | None = None,
) -> AsyncIterator[int]:
    """Serve while the block runs; yields the port. Leaving it ends event streams, then waits for other answers."""
    server = _Server(_server_config(app, limits, certificate))
    task = asyncio.ensure_future(server.serve(sockets=[listener]))
    port: int = listener.getsockname()[1]
    get_logger().info("api_served", host=listener.getsockname()[0], port=port)
    try:
        yield port
    finally:
        parts.readiness.begin_stopping()
        parts.streams.closing.set()
        server.should_exit = True
        await task


def _parts(
    configuration: Configuration,
    journal: Journal,
    reads: PostgresReads,
    projection: ProjectionFeed,
    forecasts: SchedulerFeed,
    deliveries: Deliveries,
    watched: Watched,
    interactive_lane: Interactive,
) -> AppState:
    settings = configuration.settings
    access = Access(configuration.keys, is_local=settings.is_local)
    blobs, registry = open_blobs(settings.blob_url), service_registry(SERVICE)
    metrics, readiness = RequestMetrics(registry), gateway_readiness(journal, reads, blobs)
    readings = {"ready": readiness_reading(readiness), "storage": storage_reading(_disks(settings))}
    dependencies = Dependencies(
        log=HistoricLog(journal.log, open_blobs(settings.archives_url)),
        reads=reads,
        projection=MeasuredProjection(projection, metrics.own_write_wait),
        partial=open_blobs(settings.results_folder.as_uri()),
        blobs=blobs,
        disk_guard=_disk_guard(settings, journal.log),
        forecasts=forecasts,
        access=access,
        services=watched.services,
        input_lines=InputLines(blobs),
        text_search=TextSearch(),
        now=utc_now,
        entropy=os.urandom,
        own_write_seconds_max=settings.own_write_seconds_max,
        batch_file_bytes_max=settings.batch_file_bytes_max,
        logs=log_folder(settings.home / LOGS_FOLDER),
    )
    feed = AccessFeed(journal.log, access)
    curation = PostgresCurationReads(reads)
    return AppState(
        dependencies=dependencies,
        access=access,
        feed=feed,
        webhooks=Webhooks(dependencies, feed, SealedFolder(settings.webhook_secrets_folder), deliveries),
        judgements=Judgements(dependencies, curation),
        datasets=Datasets(dependencies, curation),
        labelings=Labelings(dependencies, curation),
        evaluations=Evaluations(dependencies, curation),
        webhooks_may_be_private=settings.webhooks_allow_private,
        streams=OpenStreams(settings.event_streams_max),
        readiness=readiness,
        registry=registry,
        metrics=metrics,
        readings=Readings(registry, readings),
        heartbeat_seconds=settings.heartbeat_seconds,
        body_timeouts=BodyTimeouts(settings.body_silence_seconds_max, settings.body_seconds_max),
        limits=KeyLimits(access, settings.pinned_limits),
        admission=Admission(access),
        last_used={},
        ownership=Ownership(),
        model_loads=ModelLoads(journal.log),
        administration=Administration(dependencies, feed, journal.dead, watched.settings),
        own_settings=reported_settings(settings),
        known_secrets=partial(known_secrets, settings),
        interactive=interactive_lane,
        interactive_metrics=InteractiveMetrics(registry),
        interactive_limit=RateLimit(settings.interactive_per_minute_max),
        dry_runs=forecasts,
        has_open_pages=settings.has_open_pages,
    )


def _lane_session() -> aiohttp.ClientSession:
    """For requests that clients wait for: their number is limited at the runners, not here."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
    )


async def _interactive(settings: GatewaySettings, http: aiohttp.ClientSession, models: ModelFeed) -> Interactive:
    token = await asyncio.to_thread(provided_token, settings.lane_token_path)
    lanes = RunnerLanes(settings.gpu_runner_urls.split(), token, http, settings.interactive_seconds_max)
    demands = SchedulerDemands(settings.scheduler_url, token, http)
    return Interactive(lanes, demands, models.models, settings.interactive_wait_seconds)


def _tell_of_keys(access: Access) -> None:
    """What an operator should know who has set up both kinds, or none."""
    if access.keys and access.file_keys.are_required:
        get_logger().warning("api_keys_file_ignored", reason="the log holds keys: those of the file count no more")
    if not access.keys and not access.file_keys.are_required and not access.is_local:
        get_logger().warning("no_api_keys", remedy="make the first one with `vbatch keys init`")


def _watched(settings: GatewaySettings) -> list[WatchedService]:
    runners = [WatchedService("gpu-runner", url) for url in settings.gpu_runner_urls.split()]
    labelers = [WatchedService("labeler", settings.labeler_url)] if settings.labeler_url else []
    return [
        WatchedService("scheduler", settings.scheduler_url),
        *runners,
        WatchedService("results", settings.results_url),
        WatchedService("notifier", settings.notifier_url),
        *labelers,
    ]


def _disk_guard(settings: GatewaySettings, log: Log) -> MeasuredDiskGuard:
    disk_watermark = Watermark(settings.disk_free_bytes_min, settings.disk_free_share_min)
    return MeasuredDiskGuard(_disks(settings), disk_watermark, log, Watermark(0, settings.log_free_share_min))


def _disks(settings: GatewaySettings) -> list[Disk]:
    """Return the guard; a place that is not on a disk of this machine has a limit of its own, or none."""
    files = urlsplit(settings.blob_url)
    disks = [Disk("files", Path(unquote(files.path)), is_for_uploads=True)] if files.scheme == "file" else []
    return disks + ([Disk("event log", settings.log_folder)] if settings.log_folder else [])


def _journal_settings(settings: GatewaySettings) -> JournalSettings:
    return replace(
        JournalSettings.of(settings, SERVICE),
        attempt_seconds=settings.log_seconds_max / 2,
        deadline_seconds=settings.log_seconds_max,
    )


async def _sweep(blobs: Blobs) -> None:
    """Remove what a killed gateway left of uploads."""
    removed = await blobs.remove_abandoned()
    get_logger().info("abandoned_uploads_removed", count=removed)


@asynccontextmanager
async def _following(feed: ProjectionFeed) -> AsyncIterator[ProjectionFeed]:
    async with _beside(feed):
        yield feed


@asynccontextmanager
async def _beside(*duties: Duty) -> AsyncIterator[None]:
    """Run the duties while the block runs."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(duty.run()) for duty in duties]
        try:
            yield
        finally:
            for task in running:
                task.cancel()


def connection_limits(settings: GatewaySettings) -> ConnectionLimits:
    return ConnectionLimits(settings.head_seconds_max, settings.connections_max)


def _server_config(app: FastAPI, limits: ConnectionLimits, certificate: ServerCertificate | None) -> Config:
    return Config(
        app,
        ssl_context_factory=context_factory(certificate),
        http=connection_class(limits),
        loop="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=listening.CONNECTIONS_WAITING_MAX,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS_MAX,
    )


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process (chassis), not to the server."""
        yield
