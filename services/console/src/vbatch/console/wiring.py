"""Builds the console from its settings and serves it until it is asked to stop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import aiohttp
import uvicorn
from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware
from uvicorn.config import Config

from vbatch.chassis.listening import listening_socket
from vbatch.chassis.logs import get_logger
from vbatch.chassis.metrics import loop_lag, service_registry
from vbatch.chassis.process import Stop
from vbatch.chassis.readiness import Check, NotReady, Readiness
from vbatch.chassis.tls import ServerCertificate, client_context, context_factory, renewing, server_certificate
from vbatch.console.adapters.http import (
    actions,
    admin_actions,
    admin_pages,
    datasets,
    histories,
    judging,
    live,
    pages,
    playground,
    selections,
    service,
)
from vbatch.console.adapters.http.answers import add_error_pages
from vbatch.console.adapters.http.rendering import environment
from vbatch.console.adapters.http.sessions import Sessions
from vbatch.console.adapters.http.shield import Shield
from vbatch.console.adapters.http.visitors import Parts
from vbatch.console.adapters.metrics import page_metrics
from vbatch.console.ports import ApiRefused, ApiUnreachable
from vbatch.console.settings import ConsoleSettings

SERVICE = "console"
DRAIN_SECONDS_MAX = 3
CONNECTIONS_MAX = 1_000
COMPRESSED_BYTES_MIN = 1_024


def create_app(parts: Parts) -> FastAPI:
    """Build the ASGI application on parts that are ready; it opens and closes nothing."""
    app = FastAPI(title="vLLM Batch Server console", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.parts = parts
    for module in (service, actions, admin_actions, pages, admin_pages, selections, histories):
        app.include_router(module.router)
    for module in (datasets, judging, playground, live):
        app.include_router(module.router)
    add_error_pages(app)
    settings = parts.settings
    app.add_middleware(GZipMiddleware, minimum_size=COMPRESSED_BYTES_MIN)
    hosts = frozenset(name.lower() for name in settings.hosts.split())
    app.add_middleware(Shield, hosts=hosts, body_bytes_max=settings.upload_bytes_max)
    return app


async def run(settings: ConsoleSettings, stop: Stop) -> None:
    """Serve until `stop`. Raises PortTaken."""
    certificate = server_certificate(settings.tls_certificate_file, settings.tls_key_file)
    listener = listening_socket(settings.host, settings.port)
    async with open_parts(settings) as parts, loop_lag(parts.registry), renewing(certificate, parts.registry):
        server = _Server(_server_config(create_app(parts), certificate))
        serving = asyncio.ensure_future(server.serve(sockets=[listener]))
        get_logger().info("console_served", host=settings.host, port=listener.getsockname()[1])
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            parts.readiness.begin_stopping()
            parts.closing.set()
            server.should_exit = True
            await serving


@asynccontextmanager
async def open_parts(settings: ConsoleSettings) -> AsyncIterator[Parts]:
    trust = client_context(settings.gateway_url, settings.gateway_ca_file)
    connector = aiohttp.TCPConnector(limit=CONNECTIONS_MAX, ssl=trust)
    async with aiohttp.ClientSession(connector=connector) as http:
        parts = Parts(
            settings=settings,
            http=http,
            sessions=Sessions(settings.session_seconds_max),
            templates=environment(),
            readiness=Readiness(),
            registry=service_registry(SERVICE),
        )
        parts.readiness.add("gateway", _gateway_check(parts))
        page_metrics(parts.registry, lambda: parts.stream_count, lambda: parts.watches.count)
        yield parts


def _gateway_check(parts: Parts) -> Check:
    async def check() -> str:
        try:
            me = await parts.api(None).me()
        except ApiRefused as error:
            if error.is_about_the_key:
                return "the gateway answers and asks for a key"
            raise NotReady(error.message) from error
        except ApiUnreachable as error:
            raise NotReady(f"the gateway does not answer: {error}") from error
        return f"the gateway answers, version {me.server_version}"

    return check


def _server_config(app: FastAPI, certificate: ServerCertificate | None) -> Config:
    return Config(
        app,
        ssl_context_factory=context_factory(certificate),
        loop="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_SECONDS_MAX,
    )


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process (chassis), not to the server."""
        yield
