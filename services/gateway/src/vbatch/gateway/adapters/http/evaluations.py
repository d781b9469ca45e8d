"""The routes of evaluations: a model judges answers, and the routes report the progress."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request, Response

from vbatch.contracts.curation import BATCHES_COUNT_MAX
from vbatch.contracts.evaluations import MODEL_ITEMS_MAX, RUBRIC_BYTES_MAX
from vbatch.gateway.adapters.http.answers import JSON, object_answer, read_body
from vbatch.gateway.adapters.http.app_state import Reader, TheAppState, UsingCaller, limit_creates, must_have_space
from vbatch.gateway.adapters.http.describe import STRING, Description, body, errors
from vbatch.gateway.adapters.http.paths import Named
from vbatch.gateway.core.curation.evaluations import (
    TOKENS_DEFAULT,
    TOKENS_MAX,
    TOKENS_MIN,
    EvaluationList,
    EvaluationObject,
    evaluation_view,
    parse_evaluation_params,
)
from vbatch.gateway.core.curation.labelings import Stratum

router = APIRouter(prefix="/v1/evaluations", tags=["curation"])

RUBRIC = (
    f"What makes an answer good, at most {RUBRIC_BYTES_MAX:,} bytes. `{{prompt}}` and `{{answer}}`, of pairs "
    "`{first}` and `{second}`, stand for the texts; without any of them the texts follow the rubric."
)
CREATE_EVALUATION: Description = {
    "type": "object",
    "required": ["batch_ids", "model", "rubric"],
    "additionalProperties": False,
    "properties": {
        "batch_ids": {
            "type": "array",
            "items": STRING,
            "minItems": 1,
            "maxItems": BATCHES_COUNT_MAX,
            "description": "One batch, whose answers get scores, or several, whose answers to one prompt are compared.",
        },
        "model": STRING | {"description": "The model that judges."},
        "rubric": STRING | {"description": RUBRIC},
        "request_id": STRING | {"description": "The same id asks for the same evaluation, however often it is sent."},
        "sample": {"type": "integer", "minimum": 1, "maximum": MODEL_ITEMS_MAX},
        "stratum": {"type": "string", "enum": list(Stratum), "default": "none"},
        "seed": {"type": "integer", "minimum": 0, "default": 0},
        "custom_id": STRING | {"description": "Only lines whose `custom_id` holds this text."},
        "unjudged": {"type": "boolean", "default": False},
        "max_tokens": {
            "type": "integer",
            "minimum": TOKENS_MIN,
            "maximum": TOKENS_MAX,
            "default": TOKENS_DEFAULT,
            "description": "Of one verdict with its reason.",
        },
        "completion_window": STRING | {"default": "24h"},
        "priority": {"type": "integer", "default": 0},
    },
}


@router.post(
    "",
    response_model=EvaluationObject,
    responses=errors(400, 403, 404, 408, 415, 429, 507),
    dependencies=[Depends(must_have_space), Depends(limit_creates)],
    openapi_extra={"requestBody": body(JSON, CREATE_EVALUATION)},
)
async def create_evaluation(request: Request, caller: UsingCaller, parts: TheAppState) -> Response:
    """Let a model judge answers by a rubric, in a batch of its own. Its verdicts become judgements when that batch
    ends."""
    params = parse_evaluation_params(await read_body(request))
    return object_answer(evaluation_view(await parts.curation.evaluations.ask(caller, params)))


@router.get("", response_model=EvaluationList, responses=errors())
async def list_evaluations(owner: Reader, parts: TheAppState) -> Response:
    """Your evaluations with their progress, newest first."""
    records = await parts.curation.evaluations.page(owner)
    return object_answer(EvaluationList(data=[evaluation_view(record) for record in records]))


@router.get("/{evaluation_id}", response_model=EvaluationObject, responses=errors(404))
async def retrieve_evaluation(evaluation_id: Named, owner: Reader, parts: TheAppState) -> Response:
    """One evaluation: its progress, and how many items have no verdict."""
    return object_answer(evaluation_view(await parts.curation.evaluations.find(owner, evaluation_id)))
