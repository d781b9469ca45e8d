"""Evaluations: the params of a model as a judge, and the progress of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from vbatch.contracts import completion_window
from vbatch.contracts.evaluations import MODEL_ITEMS_MAX, RUBRIC_BYTES_MAX, EvaluationKind
from vbatch.contracts.ids import MODEL_ID_BYTES_MAX, BatchId, EvaluationId, ModelId
from vbatch.contracts.labeling import LabelingTemplate
from vbatch.gateway.core.batches.create_batch import asked_window
from vbatch.gateway.core.batches.steering import priority_of
from vbatch.gateway.core.curation.labelings import (
    REQUEST_ID_BYTES_MAX,
    SEED_MAX,
    LabelingParams,
    Stratum,
    asked_batch_ids,
)
from vbatch.gateway.core.curation.values import one_of, text_within, word
from vbatch.gateway.core.refusals import Reason, Refusal
from vbatch.gateway.core.shapes import integer, integer_between, json_object

TOKENS_DEFAULT, TOKENS_MIN, TOKENS_MAX = 512, 16, 8_192
"""Tokens for one verdict with its reason."""
EVALUATIONS_SHOWN_MAX = 1_000


@dataclass(frozen=True, slots=True)
class EvaluationParams:
    """Which answers, or pairs of two batches, are judged, by which model and by which rubric."""

    chosen: LabelingParams
    kind: EvaluationKind
    model: ModelId
    rubric: str
    tokens_max: int
    completion_window: str
    priority: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRecord:
    """`is_judged`: the batch of judge requests has ended."""

    id: EvaluationId
    kind: EvaluationKind
    batch_ids: tuple[str, ...]
    judge_batch_id: BatchId
    judge: str
    model: str
    rubric: str
    rubric_sha256: str
    item_count: int
    done_count: int
    judged_count: int
    inconsistent_count: int
    unanswered_count: int
    cut_count: int
    malformed_count: int
    is_judged: bool
    created_at: datetime


class EvaluationObject(BaseModel):
    """A model judges answers, or pairs. `status` is `judging`, `recording` or `completed`.

    Once it is completed, `item_count` is `judged_count` plus the items without a verdict: `unanswered_count`,
    `cut_count` at the limit of tokens, `malformed_count`. `inconsistent_count` pairs are ties: the verdict changed with
    the order.
    """

    id: str
    object: Literal["evaluation"] = "evaluation"
    kind: EvaluationKind
    batch_ids: list[str]
    judge_batch_id: str
    judge: str
    model: str
    rubric: str
    rubric_sha256: str
    status: str
    item_count: int
    done_count: int
    judged_count: int
    inconsistent_count: int
    unanswered_count: int
    cut_count: int
    malformed_count: int
    created_at: int


class EvaluationList(BaseModel):
    """Newest first."""

    object: Literal["list"] = "list"
    data: list[EvaluationObject]


def parse_evaluation_params(raw: bytes) -> EvaluationParams:
    """Parse the body. Raises Refusal."""
    body = json_object(raw, required=("batch_ids", "model", "rubric"), optional=_OPTIONAL)
    given = {key: value for key, value in body.items() if value is not None}
    chosen = _chosen(given)
    tokens = integer(given.get("max_tokens", TOKENS_DEFAULT), "max_tokens")
    return EvaluationParams(
        chosen=chosen,
        kind=EvaluationKind.PAIRS if len(chosen.batch_ids) > 1 else EvaluationKind.ANSWERS,
        model=ModelId(text_within(given["model"], "model", MODEL_ID_BYTES_MAX)),
        rubric=text_within(given["rubric"], "rubric", RUBRIC_BYTES_MAX),
        tokens_max=integer_between(tokens, "max_tokens", TOKENS_MIN, TOKENS_MAX),
        completion_window=asked_window(given.get("completion_window", completion_window.DEFAULT)),
        priority=priority_of(given["priority"]) if "priority" in given else 0,
    )


def no_such_evaluation(evaluation_id: str) -> Refusal:
    return Refusal(Reason.NO_SUCH_EVALUATION, f"No evaluation found with id '{evaluation_id}'.", "evaluation_id")


def evaluation_view(record: EvaluationRecord) -> EvaluationObject:
    return EvaluationObject(
        id=record.id,
        kind=record.kind,
        batch_ids=list(record.batch_ids),
        judge_batch_id=record.judge_batch_id,
        judge=record.judge,
        model=record.model,
        rubric=record.rubric,
        rubric_sha256=record.rubric_sha256,
        status=_status(record),
        item_count=record.item_count,
        done_count=record.done_count,
        judged_count=record.judged_count,
        inconsistent_count=record.inconsistent_count,
        unanswered_count=record.unanswered_count,
        cut_count=record.cut_count,
        malformed_count=record.malformed_count,
        created_at=int(record.created_at.timestamp()),
    )


_OPTIONAL = (
    "request_id",
    "sample",
    "stratum",
    "seed",
    "custom_id",
    "unjudged",
    "max_tokens",
    "completion_window",
    "priority",
)


def _chosen(given: dict[str, object]) -> LabelingParams:
    """Return which answers are judged; they are chosen as for people."""
    batch_ids = asked_batch_ids(given["batch_ids"])
    sample = given.get("sample")
    return LabelingParams(
        batch_ids=batch_ids,
        request_id=text_within(given["request_id"], "request_id", REQUEST_ID_BYTES_MAX)
        if "request_id" in given
        else None,
        title=None,
        template=LabelingTemplate.PAIRWISE if len(batch_ids) > 1 else LabelingTemplate.CHAT,
        sample=None if sample is None else integer_between(integer(sample, "sample"), "sample", 1, MODEL_ITEMS_MAX),
        stratum=one_of(given.get("stratum", "none"), tuple(Stratum), "stratum"),
        seed=integer_between(integer(given.get("seed", 0), "seed"), "seed", 0, SEED_MAX),
        model=None,
        custom_id=word(given["custom_id"], "custom_id") if "custom_id" in given else None,
        is_unjudged=given.get("unjudged", False) is True,
        project_id=None,
    )


def _status(record: EvaluationRecord) -> str:
    if record.done_count >= record.item_count:
        return "completed"
    return "recording" if record.is_judged else "judging"
