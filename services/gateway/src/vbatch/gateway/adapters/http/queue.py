"""The routes that explain what a batch waits for."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from vbatch.contracts.lifecycle import PRIORITY_MAX, PRIORITY_MIN
from vbatch.gateway.adapters.http.answers import object_answer
from vbatch.gateway.adapters.http.app_state import Reader, TheAppState, TheDependencies
from vbatch.gateway.adapters.http.describe import errors, query
from vbatch.gateway.adapters.http.paths import Named
from vbatch.gateway.core.forecast_views import QueueObject, WhyObject
from vbatch.gateway.core.refusals import parameter_missing
from vbatch.gateway.core.shapes import integer_between, integer_of_text
from vbatch.gateway.flows import queue as flow

router = APIRouter(prefix="/v1", tags=["queue"])


@router.get("/queue", response_model=QueueObject, responses=errors())
async def retrieve_queue(owner: Reader, parts: TheAppState) -> Response:
    """List your unfinished batches in the order they run, with their estimated start and end. Batches of other owners
    are only counted."""
    return object_answer(flow.queue_of(parts.dependencies, owner, parts.feed.queue_pause))


@router.get(
    "/batches/{batch_id}/what-if",
    response_model=QueueObject,
    responses=errors(400, 404),
    openapi_extra={
        "parameters": [
            query(
                "priority",
                {"type": "integer", "minimum": PRIORITY_MIN, "maximum": PRIORITY_MAX},
                "The priority that is tried.",
            )
        ]
    },
)
async def what_if(request: Request, batch_id: Named, owner: Reader, dependencies: TheDependencies) -> Response:
    """List your queue as it would be if this batch had another priority. This is the scheduler's own forecast with that
    one change; nothing is actually changed."""
    if "priority" not in request.query_params:
        raise parameter_missing("priority")
    number = integer_of_text(request.query_params["priority"], "priority")
    priority = integer_between(number, "priority", PRIORITY_MIN, PRIORITY_MAX)
    return object_answer(await flow.queue_if_priority(dependencies, owner, batch_id, priority))


@router.get("/batches/{batch_id}/why", response_model=WhyObject, responses=errors(400, 404))
async def batch_why(batch_id: Named, owner: Reader, dependencies: TheDependencies) -> Response:
    """Explain what a batch waits for, what runs before it, when it starts and ends, and what would change that."""
    return object_answer(await flow.why(dependencies, owner, batch_id))
