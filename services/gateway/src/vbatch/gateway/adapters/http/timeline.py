"""The route that returns the whole life of a batch, and its state after any event."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from vbatch.gateway.adapters.http.answers import object_answer
from vbatch.gateway.adapters.http.app_state import Reader, TheDependencies
from vbatch.gateway.adapters.http.describe import errors, query
from vbatch.gateway.adapters.http.paths import Named
from vbatch.gateway.core.shapes import integer_of_text
from vbatch.gateway.core.timeline import TimelineObject
from vbatch.gateway.flows.timeline import timeline_of_batch

router = APIRouter(prefix="/v1/batches/{batch_id}", tags=["batches"])


@router.get(
    "/timeline",
    response_model=TimelineObject,
    responses=errors(400, 404),
    openapi_extra={
        "parameters": [
            query(
                "at",
                {"type": "integer", "minimum": 1},
                "Tell the state as of this sequence of the log; by default that of the newest event.",
            )
        ]
    },
)
async def batch_timeline(request: Request, batch_id: Named, owner: Reader, dependencies: TheDependencies) -> Response:
    """What a batch waited for, where it ran, what happened to it, and its state after one event: folded from the
    log."""
    text = request.query_params.get("at")
    at = integer_of_text(text, "at") if text is not None else None
    return object_answer(await timeline_of_batch(dependencies, owner, batch_id, at))
