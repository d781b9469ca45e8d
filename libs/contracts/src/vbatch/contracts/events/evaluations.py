"""The events of evaluations: answers that a model judges by a rubric."""

from __future__ import annotations

from vbatch.contracts import limits
from vbatch.contracts.curation import BatchIds
from vbatch.contracts.evaluations import EvaluationKind, Rubric
from vbatch.contracts.events.base import Event
from vbatch.contracts.ids import BatchId, EvaluationId, ModelId, OwnerId


class EvaluationEvent(Event, frozen=True, kw_only=True):
    """The base of all events of evaluations. It names their owner."""

    owner: OwnerId
    evaluation_id: EvaluationId


class EvaluationRequested(EvaluationEvent, frozen=True, kw_only=True):
    """A model is to judge `item_count` answers, or pairs, of these batches. Its requests are those of `judge_batch_id`.

    Its verdicts become judgements of `judge`, which names the model, its revision and the rubric.
    """

    kind: EvaluationKind
    batch_ids: BatchIds
    judge_batch_id: BatchId
    judge: limits.Word
    model: ModelId
    rubric: Rubric
    rubric_sha256: limits.Word
    item_count: int
    by: limits.Word


class EvaluationRecorded(EvaluationEvent, frozen=True, kw_only=True):
    """The verdicts of the first `done_count` items are recorded, each once. All counts are totals since the beginning.

    `judged_count` items became judgements, of which `inconsistent_count` pairs are ties because the verdict changed
    with the order. The others have no verdict: the model did not answer, its answer was cut at its limit of tokens, or
    it was malformed.
    """

    done_count: int
    judged_count: int
    inconsistent_count: int
    unanswered_count: int
    cut_count: int
    malformed_count: int


AnyEvaluationEvent = EvaluationRequested | EvaluationRecorded
