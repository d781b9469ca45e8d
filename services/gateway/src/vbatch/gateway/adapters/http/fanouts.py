"""The routes of fan-outs: files that run on several models."""

from __future__ import annotations

from fastapi import APIRouter, Response

from vbatch.contracts.ids import FanoutId
from vbatch.gateway.adapters.http.answers import JSONL, object_answer, stream_answer
from vbatch.gateway.adapters.http.app_state import Reader, TheDependencies
from vbatch.gateway.adapters.http.describe import errors, text_answer
from vbatch.gateway.adapters.http.paths import Named
from vbatch.gateway.core.batches.fanout import FanoutObject, fanout_view
from vbatch.gateway.core.views import batch_view
from vbatch.gateway.flows import fanouts as flow

router = APIRouter(prefix="/v1/fanouts", tags=["batches"])


@router.get("/{fanout_id}", response_model=FanoutObject, responses=errors(404))
async def retrieve_fanout(fanout_id: Named, owner: Reader, dependencies: TheDependencies) -> Response:
    """Retrieve a fan-out: its batches, one for each model, and their total progress."""
    batches = await flow.find_fanout(dependencies, owner, fanout_id)
    views = [batch_view(batch, dependencies.forecasts.of(batch.id)) for batch in batches]
    return object_answer(fanout_view(FanoutId(fanout_id), batches, views))


@router.get(
    "/{fanout_id}/results",
    response_class=Response,
    responses={**text_answer(JSONL, "One JSON object for each `custom_id`: `answers` by model."), **errors(404)},
)
async def fanout_results(fanout_id: Named, owner: Reader, dependencies: TheDependencies) -> Response:
    """Return the answers of all models side by side, one line for each `custom_id`; null where a model has not answered
    yet. Answers of retries count. `X-Incomplete` says whether more can follow."""
    found = await flow.fanout_results(dependencies, owner, fanout_id)
    headers = {"x-incomplete": str(found.is_incomplete).lower()}
    return await stream_answer(found.content, media_type=JSONL, headers=headers)
