"""The ASGI application: the routes of every capability, and the middleware in front of them."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

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
    runners,
    server,
    service,
    timeline,
    uploads,
    usage,
    webhooks,
)
from vbatch.gateway.adapters.http.app_state import AppState
from vbatch.gateway.adapters.http.describe import describe
from vbatch.gateway.adapters.http.errors import add_error_answers
from vbatch.gateway.adapters.http.guide import add_guide
from vbatch.gateway.adapters.http.request_middleware import RequestMiddleware
from vbatch.gateway.adapters.http.service_gate import ServiceGate

DESCRIPTION = """An OpenAI-compatible batch server: the official clients work with `base_url` set to its `/v1`.

Beyond OpenAI's routes: `GET /v1/batches/{batch_id}/results` gives answers while a batch runs, and
`GET /v1/batches/{batch_id}/events` is its live event stream. `GET /v1/batches/{batch_id}/why` says what it waits for,
`GET /v1/queue` when your batches run. `GET /v1/events` is the log as a list and as a stream,
`GET /v1/batches/{batch_id}/lines` shows requests with their answers, `GET /v1/server` says how the server is.

A key has scopes: `read` looks, `user` makes and changes as well, `admin` rules over all owners. The scope that a route
needs stands beside its security scheme. `GET /v1/me` says who you are."""
ROUTERS = (
    files.router,
    uploads.router,
    batches.router,
    fanouts.router,
    answer_lines.router,
    timeline.router,
    comparisons.router,
    usage.router,
    logs.router,
    queue.router,
    event_log.router,
    models.router,
    interactive.router,
    webhooks.router,
    judgements.router,
    datasets.router,
    labelings.router,
    evaluations.router,
    access.router,
    administration.router,
    runners.router,
    server.router,
    service.router,
)
"""In the order in which openapi.json names their routes; if two routes match a path, the first one answers."""


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
    app.state.is_traced = traced
    _add_routes(app)
    if guide_folder is not None:
        add_guide(app, guide_folder)
    _add_middleware(app, parts)
    if traced:
        _add_traces(app)
    return app


def _add_routes(app: FastAPI) -> None:
    for router in ROUTERS:
        app.include_router(router)
    add_error_answers(app, [route for router in ROUTERS for route in router.routes])
    describe(app)


def _add_middleware(app: FastAPI, parts: AppState) -> None:
    """The last one added sees a request first."""
    app.add_middleware(
        ServiceGate,
        admit=lambda key, address: parts.admission.admit(key, address, parts.dependencies.now()),
        is_open=parts.has_open_pages,
    )
    app.add_middleware(RequestMiddleware, metrics=parts.monitoring.metrics, body_timeouts=parts.body_timeouts)


def _add_traces(app: FastAPI) -> None:
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor  # without traces this import is skipped

    FastAPIInstrumentor.instrument_app(app, excluded_urls="/health,/ready,/metrics")
