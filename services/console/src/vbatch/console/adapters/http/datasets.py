"""Data sets: the list, a new version of judged answers, and downloads in the formats for training."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import RedirectResponse
from starlette.responses import Response

from vbatch.console.adapters.http.answers import SEE_OTHER, page
from vbatch.console.adapters.http.downloads import sent
from vbatch.console.adapters.http.visitors import Guarded, TheVisitor, Visitor
from vbatch.console.core import views
from vbatch.console.core.new_batch import Misfilled
from vbatch.console.core.new_dataset import FORMATS, dataset_body
from vbatch.console.ports import ApiRefused

BATCHES_SHOWN = "50"

router = APIRouter(prefix="/datasets")


@router.get("")
async def datasets(request: Request, visitor: TheVisitor) -> Response:
    return await _page(request, visitor, "")


@router.post("")
async def create_dataset(request: Request, visitor: Guarded) -> Response:
    form = await request.form()
    fields = {name: value for name, value in form.items() if isinstance(value, str)}
    batch_ids = [value for value in form.getlist("batches") if isinstance(value, str)]
    try:
        await visitor.api.curation.create_dataset(dataset_body(fields, batch_ids))
    except Misfilled as error:
        return await _page(request, visitor, str(error), status=400)
    except ApiRefused as error:
        if error.is_about_the_key:
            raise
        return await _page(request, visitor, error.message, status=400)
    return RedirectResponse("/datasets", SEE_OTHER)


@router.get("/{name}/{version}")
async def export_dataset(request: Request, name: str, version: int, visitor: TheVisitor) -> Response:
    """Download the lines of a version, in the format that the query names."""
    kind = request.query_params.get("format", FORMATS[0][0])
    if kind not in dict(FORMATS):
        raise HTTPException(400, "There is no such format.")
    return await sent(visitor.api.dataset_export(name, version, kind))


async def _page(request: Request, visitor: Visitor, trouble: str, *, status: int = 200) -> Response:
    found, batches = await asyncio.gather(
        visitor.api.curation.datasets(), visitor.api.batches({"status": views.ENDED, "limit": BATCHES_SHOWN})
    )
    context = {"datasets": found.data, "batches": batches.data, "formats": FORMATS, "trouble": trouble}
    return page(request, visitor, "datasets.html", context, status=status)
