"""Runs the gateway: opens its connections, and serves until it is asked to stop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

from vbatch.chassis.blobs import Blobs
from vbatch.chassis.logs import get_logger
from vbatch.chassis.metrics import loop_lag
from vbatch.chassis.process import Stop, until_stopped
from vbatch.chassis.tls import renewing, server_certificate
from vbatch.gateway.adapters.http.app_state import AppState
from vbatch.gateway.core.access import Access
from vbatch.gateway.flows.curation.dataset_sweep import DatasetSweep
from vbatch.gateway.flows.model_feed import ModelFeed
from vbatch.gateway.flows.models import register_models
from vbatch.gateway.flows.stray_sweep import StraySweep
from vbatch.gateway.flows.upload_sweep import UploadSweep
from vbatch.gateway.settings import Configuration
from vbatch.gateway.wiring.app_state import build_app_state
from vbatch.gateway.wiring.application import create_app
from vbatch.gateway.wiring.connections import open_connections
from vbatch.gateway.wiring.duties import beside
from vbatch.gateway.wiring.http_server import connection_limits, listening_socket, serving
from vbatch.journal.connection_watch import connection_lost
from vbatch.journal.port import Journal


async def run(configuration: Configuration, stop: Stop) -> None:
    """Serve until `stop`. Raises PortTaken, ConnectionLost, or Unavailable if NATS is unreachable."""
    settings = configuration.settings
    certificate = server_certificate(settings.tls_certificate_file, settings.tls_key_file)
    with listening_socket(settings) as listener:
        async with open_parts(configuration) as (parts, journal), renewing(certificate, parts.monitoring.registry):
            app = create_app(parts, traced=settings.otlp_endpoint is not None, guide_folder=settings.guide_folder)
            limits = connection_limits(settings)
            async with serving(app, parts, listener, limits, certificate, settings.trusted_proxies):
                await until_stopped(stop, connection_lost(journal))


@asynccontextmanager
async def open_parts(configuration: Configuration) -> AsyncIterator[tuple[AppState, Journal]]:
    """Open everything the application needs, and bring the registry in line with models.toml."""
    async with open_connections(configuration.settings) as connections:
        model_feed = ModelFeed(connections.journal.log)
        parts = await build_app_state(configuration, connections, model_feed)
        await _prepare(parts, configuration)
        duties = beside(connections.forecasts, parts.feed, model_feed, *_sweeps(parts))
        async with loop_lag(parts.monitoring.registry), duties:
            await parts.feed.caught_up()
            await model_feed.caught_up()
            _warn_of_keys(parts.access)
            with closing(parts.interactive.requests.lanes):
                yield parts, connections.journal


def _sweeps(parts: AppState) -> tuple[UploadSweep, StraySweep, DatasetSweep]:
    return UploadSweep(parts.dependencies), StraySweep(parts.dependencies), DatasetSweep(parts.dependencies)


async def _prepare(parts: AppState, configuration: Configuration) -> None:
    await _clear_uploads(parts.dependencies.blobs)
    await _register_models(parts, configuration)


async def _clear_uploads(blobs: Blobs) -> None:
    """Remove what a killed gateway left of uploads."""
    removed = await blobs.remove_abandoned()
    get_logger().info("abandoned_uploads_removed", count=removed)


async def _register_models(parts: AppState, configuration: Configuration) -> None:
    changed = await register_models(parts.dependencies, configuration.models)
    get_logger().info("models_registered", models=len(configuration.models), changed=changed)


def _warn_of_keys(access: Access) -> None:
    """Warn an operator who has set up both kinds of keys, or none."""
    if access.keys and access.file_keys.are_required:
        get_logger().warning("api_keys_file_ignored", reason="the log holds keys: those of the file count no more")
    if not access.keys and not access.file_keys.are_required and not access.is_local:
        get_logger().warning("no_api_keys", remedy="make the first one with `vbatch keys init`")
