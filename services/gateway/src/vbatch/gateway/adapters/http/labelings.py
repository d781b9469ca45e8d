"""The routes of labelings: answers are handed to Label Studio, and the routes report the progress."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from vbatch.contracts.curation import BATCHES_COUNT_MAX
from vbatch.contracts.labeling import ITEMS_MAX, LabelingTemplate
from vbatch.gateway.adapters.http.answers import JSON, object_answer, read_body
from vbatch.gateway.adapters.http.app_state import Reader, TheAppState, UsingCaller
from vbatch.gateway.adapters.http.describe import STRING, Description, body, errors
from vbatch.gateway.adapters.http.paths import Named
from vbatch.gateway.core.curation.doubts import Order
from vbatch.gateway.core.curation.labelings import (
    TITLE_CHARS_MAX,
    LabelingList,
    LabelingObject,
    Stratum,
    labeling_view,
    parse_labeling_params,
)

router = APIRouter(prefix="/v1/labelings", tags=["curation"])

CREATE_LABELING: Description = {
    "type": "object",
    "required": ["batch_ids"],
    "additionalProperties": False,
    "properties": {
        "batch_ids": {"type": "array", "items": STRING, "minItems": 1, "maxItems": BATCHES_COUNT_MAX},
        "request_id": STRING | {"description": "The same id asks for the same labeling, however often it is sent."},
        "title": {"type": "string", "maxLength": TITLE_CHARS_MAX},
        "template": {"type": "string", "enum": list(LabelingTemplate)},
        "sample": {"type": "integer", "minimum": 1, "maximum": ITEMS_MAX},
        "stratum": {"type": "string", "enum": list(Stratum), "default": "none"},
        "order": {
            "type": "string",
            "enum": list(Order),
            "default": "drawn",
            "description": "`disagreement` and `margin` take what was judged and is in doubt, most doubtful first; "
            "`outlier` takes what has an embedding, the least like the others first.",
        },
        "embeddings": STRING
        | {"description": "For `outlier`: a batch of embeddings, each with the `custom_id` of its answer."},
        "seed": {"type": "integer", "minimum": 0, "default": 0},
        "model": STRING | {"description": "Only answers of this model."},
        "custom_id": STRING | {"description": "Only lines whose `custom_id` holds this text."},
        "unjudged": {"type": "boolean", "default": False},
        "project_id": {"type": "integer", "description": "A project of Label Studio to extend; by default a new one."},
    },
}


@router.post(
    "",
    response_model=LabelingObject,
    responses=errors(400, 404, 408, 415, 507),
    openapi_extra={"requestBody": body(JSON, CREATE_LABELING)},
)
async def create_labeling(request: Request, caller: UsingCaller, parts: TheAppState) -> Response:
    """Hand answers to Label Studio for judging: as tasks with predictions, in a project with a suitable template."""
    params = parse_labeling_params(await read_body(request))
    return object_answer(labeling_view(await parts.curation.labelings.push(caller, params)))


@router.get("", response_model=LabelingList, responses=errors())
async def list_labelings(owner: Reader, parts: TheAppState) -> Response:
    """Your labelings with their progress, newest first."""
    return object_answer(
        LabelingList(data=[labeling_view(record) for record in await parts.curation.labelings.page(owner)])
    )


@router.get("/{labeling_id}", response_model=LabelingObject, responses=errors(404))
async def retrieve_labeling(labeling_id: Named, owner: Reader, parts: TheAppState) -> Response:
    """One labeling with its progress."""
    return object_answer(labeling_view(await parts.curation.labelings.find(owner, labeling_id)))
