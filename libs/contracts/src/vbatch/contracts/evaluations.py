"""Evaluations: answers that a model judges by a rubric, in a batch of judge requests.

The gateway writes the requests and results reads the answers. This module holds what both must agree on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, NamedTuple

from vbatch.contracts.bounds import Name
from vbatch.contracts.curation import SCORE_MAX, SCORE_MIN
from vbatch.contracts.ids import BatchId, is_batch_id
from vbatch.contracts.limits import WORD_BYTES_MAX

RUBRIC_BYTES_MAX = 16 * 1024
MODEL_ITEMS_MAX = 10_000
"""The most answers, or pairs, of one evaluation."""
SCORES = tuple(range(int(SCORE_MIN), int(SCORE_MAX) + 1))
DIGEST_DIGITS = 8

Rubric = Annotated[str, Name(RUBRIC_BYTES_MAX)]


class EvaluationKind(StrEnum):
    """What the model is asked."""

    ANSWERS = "answers"
    """How good one answer is, as a score."""
    PAIRS = "pairs"
    """Which of two answers is better. Each pair is asked twice, once in each order."""

    @property
    def requests_each(self) -> int:
        """The number of judge requests for one item; they are on consecutive lines."""
        return 2 if self is EvaluationKind.PAIRS else 1


class Preference(StrEnum):
    """Which of the two answers that a model was shown is better."""

    FIRST = "first"
    SECOND = "second"
    TIE = "tie"


class Target(NamedTuple):
    """An answer that is judged."""

    batch_id: BatchId
    line: int


def judge_custom_id(shown: Sequence[Target]) -> str:
    """Return the `custom_id` of a judge request: the answers in the order in which they are shown."""
    return "|".join(f"{target.batch_id}:{target.line}" for target in shown)


def targets_of(custom_id: str) -> tuple[Target, ...]:
    """Return the answers that a judge request shows, in their order. Raises ValueError for any other `custom_id`."""
    return tuple(_target(part) for part in custom_id.split("|"))


def judge_name(model_version: str, rubric_sha256: str) -> str:
    """Return `model@revision#rubric`: with another rubric a model is another judge. A long name keeps its end."""
    rubric = f"#{rubric_sha256[:DIGEST_DIGITS]}"
    kept = model_version.encode()[-(WORD_BYTES_MAX - len(rubric)) :].decode(errors="ignore")
    return kept + rubric


def verdict_schema(kind: EvaluationKind) -> Mapping[str, object]:
    """Return the schema of the JSON that the model must answer. The reason comes first, so that the model thinks before
    it decides."""
    decision: Mapping[str, object] = (
        {"better": {"type": "string", "enum": list(Preference)}}
        if kind is EvaluationKind.PAIRS
        else {"score": {"type": "integer", "enum": list(SCORES)}}
    )
    return {
        "type": "object",
        "properties": {"reason": {"type": "string"}, **decision},
        "required": ["reason", *decision],
        "additionalProperties": False,
    }


def _target(text: str) -> Target:
    batch_id, _, line = text.rpartition(":")
    if not is_batch_id(batch_id):
        raise ValueError(f"{text!r} names no answer")
    return Target(BatchId(batch_id), int(line))
