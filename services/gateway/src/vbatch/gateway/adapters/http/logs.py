"""The route of a batch's logs."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from vbatch.gateway.adapters.http.answers import object_answer
from vbatch.gateway.adapters.http.app_state import Reader, TheDependencies
from vbatch.gateway.adapters.http.describe import errors, query
from vbatch.gateway.adapters.http.paths import Named
from vbatch.gateway.core.log_lines import LINES_DEFAULT, LINES_MAX, LogsObject, parse_logs_query
from vbatch.gateway.flows import logs as flow

router = APIRouter(prefix="/v1/batches", tags=["batches"])


@router.get(
    "/{batch_id}/logs",
    response_model=LogsObject,
    responses=errors(400, 404, 429),
    openapi_extra={
        "parameters": [
            query(
                "limit",
                {"type": "integer", "minimum": 1, "maximum": LINES_MAX, "default": LINES_DEFAULT},
                "The newest lines, at most this many.",
            )
        ]
    },
)
async def batch_logs(request: Request, batch_id: Named, owner: Reader, dependencies: TheDependencies) -> Response:
    """What all services logged about a batch, from the log files of this machine. It never contains a prompt or an
    answer."""
    return object_answer(await flow.logs_of(dependencies, owner, batch_id, parse_logs_query(request.query_params)))
