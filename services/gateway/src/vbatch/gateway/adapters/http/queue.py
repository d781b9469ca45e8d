"""The routes that explain what a batch waits for."""

from __future__ import annotations

from fastapi import APIRouter, Response

from vbatch.gateway.adapters.http.answers import object_answer
from vbatch.gateway.adapters.http.app_state import Reader, TheAppState, TheDependencies
from vbatch.gateway.adapters.http.describe import errors
from vbatch.gateway.adapters.http.paths import Named
from vbatch.gateway.core.forecast_views import QueueObject, WhyObject
from vbatch.gateway.flows import queue as flow

router = APIRouter(prefix="/v1", tags=["queue"])


@router.get("/queue", response_model=QueueObject, responses=errors())
async def retrieve_queue(owner: Reader, parts: TheAppState) -> Response:
    """List your unfinished batches in the order they run, with their estimated start and end. Other owners' batches are
    only counted."""
    return object_answer(flow.queue_of(parts.dependencies, owner, parts.feed.queue_pause))


@router.get("/batches/{batch_id}/why", response_model=WhyObject, responses=errors(400, 404))
async def batch_why(batch_id: Named, owner: Reader, dependencies: TheDependencies) -> Response:
    """Explain what a batch waits for, what runs first, when it starts and ends, and what would change that."""
    return object_answer(await flow.why(dependencies, owner, batch_id))
