"""The routes of data sets: their versions are created, shown, exported and deleted."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from vbatch.contracts.curation import (
    BATCHES_COUNT_MAX,
    CHOICES_COUNT_MAX,
    DATASET_NAME_PATTERN,
    SCORE_MAX,
    SCORE_MIN,
    JudgementSource,
    PairOrigin,
)
from vbatch.gateway.adapters.http.answers import JSON, JSONL, attachment, object_answer, read_body, stream_answer
from vbatch.gateway.adapters.http.app_state import Reader, TheAppState, UsingCaller
from vbatch.gateway.adapters.http.describe import STRING, Description, body, errors, query, text_answer
from vbatch.gateway.adapters.http.paths import Named
from vbatch.gateway.core.curation.dataset_views import (
    DatasetDeletedObject,
    DatasetList,
    DatasetObject,
    card,
    dataset_view,
)
from vbatch.gateway.core.curation.datasets import NEAR_DUPLICATE_MIN, SHARE_MAX, parse_dataset_params, version_of_path
from vbatch.gateway.core.curation.export_formats import ExportFormat
from vbatch.gateway.core.curation.splitting import Split
from vbatch.gateway.core.curation.values import one_of

router = APIRouter(prefix="/v1/datasets", tags=["curation"])
ONE = "/{name}/versions/{version}"
MARKDOWN = "text/markdown; charset=utf-8"

_SCORE: Description = {"type": "number", "minimum": SCORE_MIN, "maximum": SCORE_MAX}
_SHARE: Description = {"type": "number", "minimum": 0, "maximum": SHARE_MAX}
_WORDS: Description = {"type": "array", "items": STRING, "maxItems": CHOICES_COUNT_MAX}
CREATE_DATASET: Description = {
    "type": "object",
    "required": ["name", "batch_ids"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": f"^{DATASET_NAME_PATTERN.pattern}$"},
        "batch_ids": {"type": "array", "items": STRING, "minItems": 1, "maxItems": BATCHES_COUNT_MAX},
        "judges": _WORDS | {"description": "Only judgements of these judges count."},
        "sources": {"type": "array", "items": {"type": "string", "enum": list(JudgementSource)}},
        "tags": _WORDS | {"description": "Only answers with one of these tags."},
        "pair_origins": {"type": "array", "items": {"type": "string", "enum": list(PairOrigin)}},
        "score_min": _SCORE,
        "good_score_min": _SCORE | {"default": 4},
        "bad_score_max": _SCORE | {"default": 2},
        "validation_share": _SHARE | {"default": 0},
        "test_share": _SHARE | {"default": 0.1},
        "near_duplicate": {"type": "number", "minimum": NEAR_DUPLICATE_MIN, "maximum": 1, "default": 0.8},
        "seed": {"type": "integer", "minimum": 0, "default": 0},
        "at_sequence": {"type": "integer", "minimum": 1, "description": "Take the judgements up to here in the log."},
    },
}
_SPLIT = query("split", {"type": "string", "enum": list(Split)}, "Only this split; by default all.")


@router.post(
    "",
    response_model=DatasetObject,
    responses=errors(400, 404, 408, 415, 507),
    openapi_extra={"requestBody": body(JSON, CREATE_DATASET)},
)
async def create_dataset(request: Request, caller: UsingCaller, parts: TheAppState) -> Response:
    """Create the next version of a data set from the judged answers of batches. A version never changes afterwards."""
    params = parse_dataset_params(await read_body(request))
    return object_answer(dataset_view(await parts.curation.datasets.create(caller, params)))


@router.get("", response_model=DatasetList, responses=errors())
async def list_datasets(owner: Reader, parts: TheAppState) -> Response:
    """Your data sets, by name, newest version first."""
    records = await parts.curation.datasets.versions(owner)
    return object_answer(DatasetList(data=[dataset_view(record) for record in records]))


@router.get(ONE, response_model=DatasetObject, responses=errors(404))
async def retrieve_dataset(name: Named, version: Named, owner: Reader, parts: TheAppState) -> Response:
    """One version of a data set; `latest` names the newest."""
    return object_answer(dataset_view(await parts.curation.datasets.find(owner, name, version_of_path(version))))


@router.get(
    f"{ONE}/card",
    response_class=Response,
    responses={**text_answer("text/markdown", "A README.md that says what is in the version."), **errors(404)},
)
async def dataset_card(name: Named, version: Named, owner: Reader, parts: TheAppState) -> Response:
    """The card of a version: counts, judges, models, splits."""
    record = await parts.curation.datasets.find(owner, name, version_of_path(version))
    return Response(card(record), media_type=MARKDOWN)


@router.get(
    f"{ONE}/export",
    response_class=Response,
    responses={**text_answer(JSONL, "The examples, one JSON object a line."), **errors(400, 404)},
    openapi_extra={
        "parameters": [
            query("format", {"type": "string", "enum": list(ExportFormat), "default": "raw"}, "What the lines are."),
            _SPLIT,
            query("lineage", {"type": "boolean", "default": True}, "Whether each line says where it comes from."),
        ]
    },
)
async def export_dataset(request: Request, name: Named, version: Named, owner: Reader, parts: TheAppState) -> Response:
    """The lines of a version in a format for training. Examples that the format cannot express are left out."""
    asked = request.query_params
    export_format = one_of(asked.get("format", "raw"), tuple(ExportFormat), "format")
    split = one_of(asked["split"], tuple(Split), "split") if "split" in asked else None
    has_lineage = one_of(asked.get("lineage", "true"), ("true", "false"), "lineage") == "true"
    record = await parts.curation.datasets.find(owner, name, version_of_path(version))
    content = parts.curation.datasets.export(record, export_format, split=split, has_lineage=has_lineage)
    filename = "-".join([record.name, f"v{record.version}", export_format, *([split] if split else [])]) + ".jsonl"
    return await stream_answer(content, media_type=JSONL, headers={"content-disposition": attachment(filename)})


@router.delete(ONE, response_model=DatasetDeletedObject, responses=errors(404))
async def delete_dataset(name: Named, version: Named, caller: UsingCaller, parts: TheAppState) -> Response:
    """Delete a version and its lines; its number is not used again."""
    record = await parts.curation.datasets.delete(caller, name, version_of_path(version))
    return object_answer(DatasetDeletedObject(id=f"{record.name}:{record.version}"))
