"""The routes for operators: whether the console is alive, is ready, and how it is doing; and its static files."""

from __future__ import annotations

import asyncio
from importlib.resources import files
from mimetypes import guess_type

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from vbatch.chassis.metrics import exposition
from vbatch.console.adapters.http.rendering import PACKAGE
from vbatch.console.adapters.http.visitors import parts_of

FOR_EVER = "public, max-age=31536000, immutable"

router = APIRouter()


@router.get("/health")
async def health() -> dict[str, str]:
    return {"status": "alive"}


@router.get("/ready")
async def ready(request: Request) -> JSONResponse:
    report = await parts_of(request).readiness.report()
    return JSONResponse(report.as_json(), status_code=report.http_status)


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    body, content_type = await asyncio.to_thread(exposition, parts_of(request).registry, request.headers.get("accept"))
    return Response(body, headers={"content-type": content_type})


@router.get("/favicon.ico")
async def favicon() -> Response:
    return static_file("favicon.svg")


@router.get("/static/{name}")
async def static(name: str) -> Response:
    return static_file(name)


def static_file(name: str) -> Response:
    """Return a file of the package; its address changes with its content."""
    folder = files(PACKAGE) / "static"
    found = next((each for each in folder.iterdir() if each.name == name and each.is_file()), None)
    if found is None:
        raise HTTPException(404)
    content_type = guess_type(name)[0] or "application/octet-stream"
    return Response(found.read_bytes(), media_type=content_type, headers={"cache-control": FOR_EVER})
