"""Reading answers: one answer, more rows of the list, the facets, and the selection as a file."""

from __future__ import annotations

import time

from fastapi import APIRouter, Request
from starlette.responses import Response

from vbatch.console.adapters.http.answers import is_from_script, page
from vbatch.console.adapters.http.downloads import sent
from vbatch.console.adapters.http.visitors import TheVisitor
from vbatch.console.core.answer_parts import shape_of
from vbatch.console.core.selection import SHOWN, exported, selection_of
from vbatch.console.flows import pages
from vbatch.console.flows.pages import PageParams

FORMATS = ("jsonl", "csv")

router = APIRouter(prefix="/batches/{batch_id}")


@router.get("/answers/{line}")
async def answer(request: Request, batch_id: str, line: int, visitor: TheVisitor) -> Response:
    """Show one line: on a page of its own, or in a panel beside the list."""
    shape = shape_of(request.query_params.get(SHOWN))
    view = await pages.line(visitor.api, batch_id, line, shape, int(time.time()))
    template = "parts/line.html" if is_from_script(request) else "line.html"
    return page(request, visitor, template, {"view": view, "tab": "answers", "live": ""})


@router.get("/rows")
async def rows(request: Request, batch_id: str, visitor: TheVisitor) -> Response:
    """The next lines of the list, without the page around them."""
    ask = PageParams(batch_id, dict(request.query_params))
    view = await pages.answers(visitor.api, ask, int(time.time()))
    return page(request, visitor, "parts/answer_rows.html", {"view": view})


@router.get("/facets")
async def facets(request: Request, batch_id: str, visitor: TheVisitor) -> Response:
    """Show how the answers divide, as filters: a part of the list's page."""
    found = await visitor.api.facets(batch_id)
    query = selection_of(request.query_params)
    return page(request, visitor, "parts/facets.html", {"facets": found, "query": query, "batch_id": batch_id})


@router.get("/export")
async def export(request: Request, batch_id: str, visitor: TheVisitor) -> Response:
    kind = request.query_params.get("format", FORMATS[0])
    query = exported(selection_of(request.query_params)) | {"format": kind if kind in FORMATS else FORMATS[0]}
    return await sent(visitor.api.export(batch_id, query))
