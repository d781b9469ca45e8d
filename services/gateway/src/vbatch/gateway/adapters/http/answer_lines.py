"""The routes that show a batch line by line, its failures by kind, and its pace."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter, Request, Response

from vbatch.gateway.adapters.http.answers import JSON, object_answer
from vbatch.gateway.adapters.http.app_state import Reader, TheDependencies
from vbatch.gateway.adapters.http.describe import STRING, errors, query
from vbatch.gateway.adapters.http.paths import Named
from vbatch.gateway.core.answer_lines import (
    LINES_DEFAULT,
    LINES_MAX,
    FaultList,
    LineDetailObject,
    LinePage,
    SeriesObject,
    line_of_path,
    read_lines_ask,
)
from vbatch.gateway.flows import answer_lines as flow

router = APIRouter(prefix="/v1/batches/{batch_id}", tags=["batches"])


@router.get(
    "/lines",
    response_model=LinePage,
    responses=errors(400, 404),
    openapi_extra={
        "parameters": [
            query("after_line", {"type": "integer", "minimum": 0}, "Only lines behind this one."),
            query(
                "limit",
                {"type": "integer", "minimum": 1, "maximum": LINES_MAX, "default": LINES_DEFAULT},
                "Page size.",
            ),
            query("outcome", {"type": "string", "enum": ["succeeded", "failed"]}, "Only lines that ended so."),
            query("custom_id", STRING, "Only lines whose `custom_id` holds this text."),
            query("error_code", STRING, "Only lines without an answer, for this reason."),
            query("status_code", {"type": "integer"}, "Only lines whose answer had this status."),
        ]
    },
)
async def batch_lines(request: Request, batch_id: Named, owner: Reader, dependencies: TheDependencies) -> Response:
    """The lines answered so far, in input order, with the beginnings of request and answer."""
    views, has_more = await flow.lines_of_batch(dependencies, owner, batch_id, read_lines_ask(request.query_params))
    return Response(flow.page_of_lines(views, has_more=has_more), media_type=JSON)


@router.get("/lines/{line}", response_model=LineDetailObject, responses=errors(400, 404))
async def batch_line(batch_id: Named, line: Named, owner: Reader, dependencies: TheDependencies) -> Response:
    """One line: the request as it was written, and its output line once it has one."""
    shown = await flow.line_detail(dependencies, owner, batch_id, line_of_path(line))
    return Response(msgspec.json.encode(shown), media_type=JSON)


@router.get("/faults", response_model=FaultList, responses=errors(400, 404))
async def batch_faults(batch_id: Named, owner: Reader, dependencies: TheDependencies) -> Response:
    """The failed answers so far by kind, the most frequent first."""
    return object_answer(await flow.faults_of_batch(dependencies, owner, batch_id))


@router.get("/series", response_model=SeriesObject, responses=errors(400, 404))
async def batch_series(batch_id: Named, owner: Reader, dependencies: TheDependencies) -> Response:
    """How many answers and output tokens came when, in at most 120 steps."""
    return object_answer(await flow.series_of_batch(dependencies, owner, batch_id))
