"""The HTTP server: its socket, its limits, and how it starts and stops."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp
from uvicorn.config import Config

from vbatch.chassis import listening
from vbatch.chassis.logs import get_logger
from vbatch.chassis.tls import ServerCertificate, context_factory
from vbatch.gateway.adapters.http.app_state import AppState
from vbatch.gateway.adapters.http.connection import ConnectionLimits, connection_class
from vbatch.gateway.adapters.http.interactive import InteractiveShortcut
from vbatch.gateway.settings import GatewaySettings

DRAIN_SECONDS_MAX = 5
KEEP_ALIVE_SECONDS = 75
LOOPBACK = "127.0.0.1"


def listening_socket(settings: GatewaySettings) -> socket.socket:
    """Open the socket. Raises PortTaken."""
    return listening.listening_socket(settings.host, settings.port)


def connection_limits(settings: GatewaySettings) -> ConnectionLimits:
    return ConnectionLimits(settings.head_seconds_max, settings.connections_max)


@asynccontextmanager
async def serving(
    app: FastAPI,
    parts: AppState,
    listener: socket.socket,
    limits: ConnectionLimits,
    certificate: ServerCertificate | None = None,
    trusted_proxies: str = LOOPBACK,
) -> AsyncIterator[int]:
    """Serve while the block runs; yields the port. Leaving it ends event streams, then waits for other answers."""
    served = app if app.state.is_traced else InteractiveShortcut(app, parts)  # traces need the framework
    server = _Server(server_config(served, limits, certificate, trusted_proxies))
    task = asyncio.ensure_future(server.serve(sockets=[listener]))
    port: int = listener.getsockname()[1]
    get_logger().info("api_served", host=listener.getsockname()[0], port=port)
    try:
        yield port
    finally:
        parts.monitoring.readiness.begin_stopping()
        parts.streams.closing.set()
        server.should_exit = True
        await task


def server_config(
    app: ASGIApp, limits: ConnectionLimits, certificate: ServerCertificate | None, trusted_proxies: str
) -> Config:
    return Config(
        app,
        ssl_context_factory=context_factory(certificate),
        http=connection_class(limits),
        loop="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips=trusted_proxies,
        backlog=listening.CONNECTIONS_WAITING_MAX,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS_MAX,
    )


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process (chassis), not to the server."""
        yield
