"""`/health`, `/ready` and `/metrics` for a service that has no HTTP server of its own."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry

from vbatch.chassis.listening import PortTaken
from vbatch.chassis.metrics import exposition
from vbatch.chassis.readiness import Check, CheckResult, NotReady, Readiness, ReadinessReport
from vbatch.chassis.readings import Reading, Readings, readiness_reading

__all__ = [
    "Check",
    "CheckResult",
    "NotReady",
    "PortTaken",
    "Readiness",
    "ReadinessReport",
    "health_app",
    "serve_health",
]

SHUTDOWN_SECONDS_MAX = 2.0
NO_READINGS: Mapping[str, Reading] = {}


def health_app(
    readiness: Readiness,
    registry: CollectorRegistry,
    pages: Iterable[web.RouteDef] = (),
    *,
    readings: Mapping[str, Reading] = NO_READINGS,
) -> web.Application:
    """Return an application with the three pages and the service's own pages; it can also be mounted in another aiohttp
    application. Each answer of `/metrics` first refreshes `readings`, readiness included."""
    asked = Readings(registry, {"ready": readiness_reading(readiness), **readings})

    async def health(_request: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def ready(_request: web.Request) -> web.Response:
        report = await readiness.report()
        return web.json_response(report.as_json(), status=report.http_status)

    async def metrics(request: web.Request) -> web.Response:
        await asked.refresh()
        body, content_type = await asyncio.to_thread(exposition, registry, request.headers.get("Accept"))
        return web.Response(body=body, headers={"Content-Type": content_type})

    app = web.Application()
    app.add_routes([web.get("/health", health), web.get("/ready", ready), web.get("/metrics", metrics), *pages])
    return app


@asynccontextmanager
async def serve_health(
    readiness: Readiness,
    registry: CollectorRegistry,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    pages: Iterable[web.RouteDef] = (),
    readings: Mapping[str, Reading] = NO_READINGS,
) -> AsyncIterator[int]:
    """Serve the three pages and the service's own pages while the block runs; yield the port. Raises PortTaken."""
    app = health_app(readiness, registry, pages, readings=readings)
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=SHUTDOWN_SECONDS_MAX,
        handler_cancellation=True,  # a handler stops when its client disconnects
    )
    await runner.setup()
    try:
        await _listen(runner, host, port)
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        raise PortTaken(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
