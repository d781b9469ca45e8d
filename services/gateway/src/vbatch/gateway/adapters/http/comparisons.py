"""The routes that compare batches over the same inputs."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from vbatch.gateway.adapters.http.answers import object_answer, stream_answer
from vbatch.gateway.adapters.http.app_state import Reader, TheDependencies
from vbatch.gateway.adapters.http.describe import STRING, errors, query, text_answer
from vbatch.gateway.core.comparing import (
    BATCHES_MAX,
    BATCHES_MIN,
    COMPARED_DEFAULT,
    COMPARED_MAX,
    ComparedPage,
    ComparisonObject,
    Only,
    parse_compare_params,
)
from vbatch.gateway.flows import comparing as flow

router = APIRouter(prefix="/v1/comparisons", tags=["comparisons"])

BATCHES = query(
    "batches", STRING, f"{BATCHES_MIN} to {BATCHES_MAX} ids, with commas between. The first is the reference."
)
ONLY = query(
    "only", {"type": "string", "enum": list(Only), "default": Only.ALL.value}, "Which of the shared lines are wanted."
)


@router.get("", response_model=ComparisonObject, responses=errors(400, 404), openapi_extra={"parameters": [BATCHES]})
async def compare_batches(request: Request, owner: Reader, dependencies: TheDependencies) -> Response:
    """How batches over the same inputs were answered: failures, lengths, times, and how often they agree with the first
    batch."""
    return object_answer(await flow.comparison(dependencies, owner, parse_compare_params(request.query_params)))


@router.get(
    "/lines",
    response_model=ComparedPage,
    responses=errors(400, 404),
    openapi_extra={
        "parameters": [
            BATCHES,
            ONLY,
            query("after_line", {"type": "integer", "minimum": 0}, "Only lines behind this one."),
            query(
                "limit",
                {"type": "integer", "minimum": 1, "maximum": COMPARED_MAX, "default": COMPARED_DEFAULT},
                "Page size.",
            ),
        ]
    },
)
async def compare_lines(request: Request, owner: Reader, dependencies: TheDependencies) -> Response:
    """The lines that the first batch shares with another one, each with the answers of all batches."""
    return object_answer(await flow.compared_lines(dependencies, owner, parse_compare_params(request.query_params)))


@router.get(
    "/export",
    response_class=Response,
    responses={**text_answer("text/csv", "A table with a column for each batch."), **errors(400, 404)},
    openapi_extra={"parameters": [BATCHES, ONLY]},
)
async def export_comparison(request: Request, owner: Reader, dependencies: TheDependencies) -> Response:
    """The whole comparison as a table."""
    content = flow.compared_table(dependencies, owner, parse_compare_params(request.query_params))
    headers = {"content-disposition": 'attachment; filename="comparison.csv"'}
    return await stream_answer(content, media_type="text/csv; charset=utf-8", headers=headers)
