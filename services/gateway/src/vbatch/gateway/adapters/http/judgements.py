"""The routes of judgements: what people and models say of answers."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from vbatch.contracts.curation import BATCHES_COUNT_MAX, SCORE_MAX, SCORE_MIN, TAGS_COUNT_MAX, Verdict, Vote
from vbatch.gateway.adapters.http.answers import JSON, object_answer, read_body
from vbatch.gateway.adapters.http.app_state import Reader, TheAppState, UsingCaller
from vbatch.gateway.adapters.http.describe import STRING, Description, body, errors, header, query
from vbatch.gateway.adapters.http.paths import Named
from vbatch.gateway.core.curation.agreement_views import AgreementObject
from vbatch.gateway.core.curation.judgement_params import (
    JUDGEMENTS_MAX,
    LIST_MAX,
    SOURCES,
    parse_judgements_params,
    parse_list_params,
)
from vbatch.gateway.core.curation.judgement_views import JudgementList, JudgementWithdrawnObject, list_view
from vbatch.gateway.core.curation.judgements import LIST_DEFAULT
from vbatch.gateway.core.curation.labelings import asked_batch_ids

router = APIRouter(prefix="/v1/judgements", tags=["curation"])

_LINE: Description = {"type": "integer", "minimum": 1}
_BATCHES: Description = {"type": "array", "items": STRING, "minItems": 1, "maxItems": BATCHES_COUNT_MAX}
_JUDGEMENT: Description = {
    "type": "object",
    "required": ["batch_id", "line"],
    "additionalProperties": False,
    "properties": {
        "batch_id": STRING,
        "line": _LINE,
        "verdict": {"type": "string", "enum": list(Verdict)},
        "score": {"type": "number", "minimum": SCORE_MIN, "maximum": SCORE_MAX},
        "tags": {"type": "array", "items": STRING, "maxItems": TAGS_COUNT_MAX},
        "note": STRING,
        "edited": STRING | {"description": "A better answer; the answer itself never changes."},
        "seconds": {"type": "number", "minimum": 0},
        "reference": STRING,
        "other_batch_id": STRING | {"description": "Of a comparison: the batch of answer B."},
        "other_line": _LINE,
        "vote": {"type": "string", "enum": list(Vote)},
    },
}
RECORD_JUDGEMENTS: Description = {
    "type": "object",
    "required": ["judgements"],
    "additionalProperties": False,
    "properties": {
        "judgements": {"type": "array", "items": _JUDGEMENT, "minItems": 1, "maxItems": JUDGEMENTS_MAX},
        "judge": STRING | {"description": "Who judges; by default the id of the key."},
        "source": {"type": "string", "enum": list(SOURCES), "default": "api"},
    },
}


@router.post(
    "",
    response_model=JudgementList,
    responses=errors(400, 404, 408, 415),
    openapi_extra={
        "requestBody": body(JSON, RECORD_JUDGEMENTS),
        "parameters": [header("Idempotency-Key", "The same key records the same judgements once.")],
    },
)
async def record_judgements(request: Request, caller: UsingCaller, parts: TheAppState) -> Response:
    """Judge answers, and compare pairs of them. Either all judgements are recorded or none."""
    params = parse_judgements_params(await read_body(request))
    records = await parts.curation.judgements.record(caller, params, request.headers.get("idempotency-key"))
    return object_answer(list_view(records, len(records)))


@router.get(
    "",
    response_model=JudgementList,
    responses=errors(400),
    openapi_extra={
        "parameters": [
            query("batch_id", STRING, "Only of this batch."),
            query("line", _LINE, "Only of this line."),
            query("judge", STRING, "Only of this judge."),
            query("after", {"type": "integer", "minimum": 0}, "`last_sequence` of the page before."),
            query("order", {"type": "string", "enum": ["asc", "desc"], "default": "asc"}, "Oldest or newest first."),
            query(
                "limit",
                {"type": "integer", "minimum": 1, "maximum": LIST_MAX, "default": LIST_DEFAULT},
                "Page size.",
            ),
        ]
    },
)
async def list_judgements(request: Request, owner: Reader, parts: TheAppState) -> Response:
    """The judgements of your answers that count, without the withdrawn ones."""
    params = parse_list_params(request.query_params)
    return object_answer(list_view(await parts.curation.judgements.page(owner, params), params.limit))


@router.get(
    "/agreement",
    response_model=AgreementObject,
    responses=errors(400, 404),
    openapi_extra={"parameters": [query("batch_id", _BATCHES, "The batches whose judges are compared; repeat it.")]},
)
async def agreement_of_judges(request: Request, owner: Reader, parts: TheAppState) -> Response:
    """How well judges agree: people with each other, and each model with the combined judgement of the people."""
    batch_ids = asked_batch_ids(request.query_params.getlist("batch_id"))
    return object_answer(await parts.curation.judgements.agreement(owner, batch_ids))


@router.post("/{judgement_id}/withdraw", response_model=JudgementWithdrawnObject, responses=errors(404))
async def withdraw_judgement(judgement_id: Named, caller: UsingCaller, parts: TheAppState) -> Response:
    """Withdraw a judgement: from now on it does not count."""
    return object_answer(JudgementWithdrawnObject(id=await parts.curation.judgements.withdraw(caller, judgement_id)))
