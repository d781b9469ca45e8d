"""The pages about the past: the life of one batch, the comparison of batches, the usage."""

from __future__ import annotations

import time
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse
from starlette.responses import Response

from vbatch.console.adapters.http.answers import SEE_OTHER, page
from vbatch.console.adapters.http.downloads import sent
from vbatch.console.adapters.http.pages import show
from vbatch.console.adapters.http.visitors import TheVisitor
from vbatch.console.core.comparing import PICKED, ids_asked
from vbatch.console.core.usage_view import range_asked
from vbatch.console.flows import histories
from vbatch.console.flows.pages import PageParams

router = APIRouter()


@router.get("/batches/{batch_id}/timeline")
async def timeline(request: Request, batch_id: str, visitor: TheVisitor) -> Response:
    return await show(request, visitor, "timeline", batch_id)


@router.get("/batches/{batch_id}/timeline/state")
async def state(request: Request, batch_id: str, visitor: TheVisitor) -> Response:
    """Show the state after one event, for the slider."""
    ask = PageParams(batch_id, dict(request.query_params))
    view = await histories.timeline(visitor.api, ask, int(time.time()))
    return page(request, visitor, "parts/state.html", {"view": view})


@router.get("/usage")
async def usage(request: Request, visitor: TheVisitor) -> Response:
    return await show(request, visitor, "usage")


@router.get("/usage/table")
async def usage_table(request: Request, visitor: TheVisitor) -> Response:
    """Download the usage as a file."""
    query = histories.usage_query(range_asked(request.query_params), int(time.time()))
    return await sent(visitor.api.usage_table(query, is_of_all=bool(request.query_params.get("all"))))


@router.get("/compare")
async def compare(request: Request, visitor: TheVisitor) -> Response:
    """Compare batches over the same inputs; with fewer than two of them, show a list to choose from."""
    picked = request.query_params.getlist(PICKED)
    query = dict(request.query_params)
    ids = ids_asked(query, picked)
    if len(picked) > 0 and len(ids) >= histories.BATCHES_MIN:
        return RedirectResponse(f"/compare?batches={quote(','.join(ids), safe=',')}", SEE_OTHER)
    view = await histories.compare(visitor.api, ids, query, int(time.time()))
    return page(request, visitor, "compare.html", {"view": view})


@router.get("/compare/table")
async def compare_table(request: Request, visitor: TheVisitor) -> Response:
    """Download the comparison as a file."""
    query = dict(request.query_params)
    asked = {"batches": ",".join(ids_asked(query))} | ({"only": query["only"]} if query.get("only") else {})
    return await sent(visitor.api.compared_table(asked))
