"""The routes that show a batch line by line, its failures by kind, and its throughput."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter, Request, Response

from vbatch.gateway.adapters.http.answers import JSON, JSONL, attachment, object_answer, stream_answer
from vbatch.gateway.adapters.http.app_state import Reader, TheDependencies
from vbatch.gateway.adapters.http.describe import STRING, errors, query, text_answer
from vbatch.gateway.adapters.http.paths import Named
from vbatch.gateway.core.answer_lines import (
    LINES_DEFAULT,
    LINES_MAX,
    FaultList,
    LineDetailObject,
    LinePage,
    SeriesObject,
    line_of_path,
    parse_lines_params,
)
from vbatch.gateway.core.facets import FacetsObject
from vbatch.gateway.core.line_filters import ORDERS
from vbatch.gateway.core.line_table import ExportFormat, read_export_format
from vbatch.gateway.core.text_search import Side
from vbatch.gateway.flows import answer_lines as flow
from vbatch.gateway.flows.batches import find_batch
from vbatch.gateway.flows.line_export import exported_lines

MEDIA_TYPES = {ExportFormat.JSONL: JSONL, ExportFormat.CSV: "text/csv; charset=utf-8"}

router = APIRouter(prefix="/v1/batches/{batch_id}", tags=["batches"])


FILTERS = [
    query("outcome", {"type": "string", "enum": ["succeeded", "failed"]}, "Only lines that ended so."),
    query("custom_id", STRING, "Only lines whose `custom_id` holds this text."),
    query("error_code", STRING, "Only lines without an answer, for this reason."),
    query("status_code", {"type": "integer"}, "Only lines whose answer had this status."),
    query("model", STRING, "Only answers that this model says it gave."),
    query("finish_reason", STRING, "Only answers that ended so, such as `stop` or `length`."),
    query("is_json", {"type": "boolean"}, "Only answers whose text is a JSON object or array, or is none."),
    query("chars_min", {"type": "integer", "minimum": 0}, "Only answers whose text has this many characters or more."),
    query("chars_max", {"type": "integer", "minimum": 0}, "Only answers whose text has this many characters or fewer."),
    query("contains", STRING, "Only lines whose text or `custom_id` holds these words, in small or capital letters."),
    query(
        "search_in",
        {"type": "string", "enum": list(Side), "default": Side.ANSWERS.value},
        "Where `contains` looks.",
    ),
]


@router.get(
    "/lines",
    response_model=LinePage,
    responses=errors(400, 404),
    openapi_extra={
        "parameters": [
            query(
                "after_line", {"type": "integer", "minimum": 0}, "Only lines behind this one, in the order asked for."
            ),
            query(
                "limit",
                {"type": "integer", "minimum": 1, "maximum": LINES_MAX, "default": LINES_DEFAULT},
                "Page size.",
            ),
            query(
                "order",
                {"type": "string", "enum": list(ORDERS), "default": ORDERS[0]},
                "What lines are sorted by; a minus sorts the greatest first.",
            ),
            query("search_after", STRING, "Search behind what was searched: the `next` of a search."),
            *FILTERS,
        ]
    },
)
async def batch_lines(request: Request, batch_id: Named, owner: Reader, dependencies: TheDependencies) -> Response:
    """The lines answered so far, in input order, with the beginnings of request and answer. A search with `contains`
    reads up to a gibibyte of text; in a longer batch, continue it with `search_after`."""
    page = await flow.lines_of_batch(dependencies, owner, batch_id, parse_lines_params(request.query_params))
    return Response(page, media_type=JSON)


@router.get(
    "/lines/export",
    response_class=Response,
    responses={**text_answer(JSONL, "Output lines, or a table with a heading."), **errors(400, 404)},
    openapi_extra={
        "parameters": [
            query(
                "format",
                {"type": "string", "enum": list(ExportFormat), "default": ExportFormat.JSONL.value},
                "`jsonl` gives the output lines as the output file has them, `csv` a table of them with both texts.",
            ),
            *FILTERS,
        ]
    },
)
async def export_lines(request: Request, batch_id: Named, owner: Reader, dependencies: TheDependencies) -> Response:
    """All lines of a batch that match the filters, in input order."""
    params, kind = parse_lines_params(request.query_params), read_export_format(request.query_params)
    batch = await find_batch(dependencies, owner, batch_id)
    content = exported_lines(dependencies, owner, batch, params, kind)
    headers = {"content-disposition": attachment(f"{batch.id}.{kind}")}
    return await stream_answer(content, media_type=MEDIA_TYPES[kind], headers=headers)


@router.get("/facets", response_model=FacetsObject, responses=errors(400, 404))
async def batch_facets(batch_id: Named, owner: Reader, dependencies: TheDependencies) -> Response:
    """The successful answers so far, counted by model, by finish reason, and by whether they are JSON."""
    return object_answer(await flow.facets_of_batch(dependencies, owner, batch_id))


@router.get("/lines/{line}", response_model=LineDetailObject, responses=errors(400, 404))
async def batch_line(batch_id: Named, line: Named, owner: Reader, dependencies: TheDependencies) -> Response:
    """One line: the request as the client wrote it, and its output line once there is one."""
    shown = await flow.line_detail(dependencies, owner, batch_id, line_of_path(line))
    return Response(msgspec.json.encode(shown), media_type=JSON)


@router.get("/faults", response_model=FaultList, responses=errors(400, 404))
async def batch_faults(batch_id: Named, owner: Reader, dependencies: TheDependencies) -> Response:
    """The failed answers so far by kind, most frequent first."""
    return object_answer(await flow.faults_of_batch(dependencies, owner, batch_id))


@router.get("/series", response_model=SeriesObject, responses=errors(400, 404))
async def batch_series(batch_id: Named, owner: Reader, dependencies: TheDependencies) -> Response:
    """The number of answers and output tokens over time, in at most 120 steps."""
    return object_answer(await flow.series_of_batch(dependencies, owner, batch_id))
