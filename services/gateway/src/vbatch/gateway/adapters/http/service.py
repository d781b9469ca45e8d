"""The routes for operators: whether the server is alive, is ready, and how it is doing. They need no key."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from vbatch.chassis.metrics import exposition
from vbatch.gateway.adapters.http.app_state import TheAppState

router = APIRouter(tags=["service"])


@router.get("/health")
async def health() -> dict[str, str]:
    """Answer, which shows that the process is alive."""
    return {"status": "alive"}


@router.get("/ready", responses={503: {"description": "A check failed; the body names it."}})
async def ready(parts: TheAppState) -> JSONResponse:
    """Check that the event log, the read model and the file store can be used."""
    report = await parts.monitoring.readiness.report()
    return JSONResponse(report.as_json(), status_code=report.http_status)


@router.get("/metrics", response_class=Response, responses={200: {"description": "Prometheus text."}})
async def metrics(request: Request, parts: TheAppState) -> Response:
    """Return the metrics for Prometheus."""
    await parts.monitoring.readings.refresh()
    parts.monitoring.metrics.open_streams.set(parts.streams.open_count)
    body, content_type = await asyncio.to_thread(exposition, parts.monitoring.registry, request.headers.get("accept"))
    return Response(body, headers={"content-type": content_type})
