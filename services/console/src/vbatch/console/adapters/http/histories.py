"""The pages about the past: the life of one batch, and what was used."""

from __future__ import annotations

import time

from fastapi import APIRouter, Request
from starlette.responses import Response

from vbatch.console.adapters.http.answers import page
from vbatch.console.adapters.http.downloads import sent
from vbatch.console.adapters.http.pages import show
from vbatch.console.adapters.http.visitors import TheVisitor
from vbatch.console.core.usage_view import range_asked
from vbatch.console.flows import histories
from vbatch.console.flows.pages import PageAsk

router = APIRouter()


@router.get("/batches/{batch_id}/timeline")
async def timeline(request: Request, batch_id: str, visitor: TheVisitor) -> Response:
    return await show(request, visitor, "timeline", batch_id)


@router.get("/batches/{batch_id}/timeline/state")
async def state(request: Request, batch_id: str, visitor: TheVisitor) -> Response:
    """The state at one event, for the slider."""
    ask = PageAsk(batch_id, dict(request.query_params))
    view = await histories.timeline(visitor.api, ask, int(time.time()))
    return page(request, visitor, "parts/state.html", {"view": view})


@router.get("/usage")
async def usage(request: Request, visitor: TheVisitor) -> Response:
    return await show(request, visitor, "usage")


@router.get("/usage/table")
async def usage_table(request: Request, visitor: TheVisitor) -> Response:
    """The same as a file."""
    query = histories.usage_query(range_asked(request.query_params), int(time.time()))
    return await sent(visitor.api.usage_table(query, is_of_all=bool(request.query_params.get("all"))))
