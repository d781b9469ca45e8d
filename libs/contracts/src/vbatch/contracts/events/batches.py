"""The events of batches: their life, and the slices that run them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from vbatch.contracts import limits
from vbatch.contracts.bounds import Items, Json
from vbatch.contracts.events.base import Event
from vbatch.contracts.events.outcomes import (
    BatchFault,
    Flaw,
    ModelTotal,
    Outcome,
    OutcomeOutline,
    RequestCounts,
    RequestError,
    Usage,
)
from vbatch.contracts.failures import ReturnReason
from vbatch.contracts.ids import BatchId, FanoutId, FileId, ModelId, OwnerId, RunnerId, SliceId

FlawShares = Annotated[dict[Flaw, float], Items(len(Flaw))]
"""Shares of the successful answers, from 0 to 1."""


class BatchCreated(Event, frozen=True, kw_only=True):
    """A batch was accepted; only its shape was checked. It must end by `expires_at`. A batch with a higher `priority`
    runs sooner.

    `retry_of` is the batch whose requests this one runs again. The batches of one fan-out share a `fanout_id`; the
    `model` of each replaces the one that its lines name. When the share of answers with a flaw reaches that in
    `pause_on`, the batch is paused.
    """

    batch_id: BatchId
    owner: OwnerId
    input_file_id: FileId
    endpoint: limits.Word
    completion_window: limits.Word
    expires_at: datetime
    metadata: limits.Metadata | None = None
    output_expires_after_seconds: int | None = None
    priority: int = 0
    retry_of: BatchId | None = None
    fanout_id: FanoutId | None = None
    model: ModelId | None = None
    pause_on: FlawShares | None = None


class BatchCancelRequested(Event, frozen=True, kw_only=True):
    """The owner asked for the batch to end. Running requests are returned."""

    batch_id: BatchId


class BatchFirstAnswered(Event, frozen=True, kw_only=True):
    """The first successful answer of the batch is in the log. It is recorded only if a webhook endpoint of its owner
    wanted to be told when that answer came."""

    batch_id: BatchId


class BatchQualityDropped(Event, frozen=True, kw_only=True):
    """So many of the answers so far have this flaw that their share has reached the threshold `share_max`. It is
    recorded once for each flaw of a batch."""

    batch_id: BatchId
    flaw: Flaw
    count: int
    answers: int
    share_max: float


class BatchErrorShareExceeded(Event, frozen=True, kw_only=True):
    """So many of the requests answered so far failed that their share is above `share_max`. It is recorded once for a
    batch."""

    batch_id: BatchId
    failed: int
    answered: int
    share_max: float


class BatchPaused(Event, frozen=True, kw_only=True):
    """No request of the batch starts until it is resumed; those inside the engine finish. Its completion window keeps
    running."""

    batch_id: BatchId


class BatchResumed(Event, frozen=True, kw_only=True):
    """The batch may run again."""

    batch_id: BatchId


class BatchPriorityChanged(Event, frozen=True, kw_only=True):
    """The owner changed the priority of the batch: its remaining requests run sooner or later than before."""

    batch_id: BatchId
    priority: int


class BatchValidated(Event, frozen=True, kw_only=True):
    """Every line is well formed. `last_line` is the highest physical line that holds a request."""

    batch_id: BatchId
    total: int
    last_line: int
    models: Annotated[tuple[ModelTotal, ...], Items(limits.MODELS_COUNT_MAX)]


class BatchRejected(Event, frozen=True, kw_only=True):
    """The input file is invalid, so none of its requests run. The faults are in line order."""

    batch_id: BatchId
    faults: Annotated[tuple[BatchFault, ...], Json(limits.FAULTS_BYTES_MAX)]


class BatchDispatched(Event, frozen=True, kw_only=True):
    """A slice was leased to a runner: these lines, under this epoch. `reason` says why it was chosen.

    If there is a `fault`, the runner does not run the lines; it records each as failed with that fault.
    """

    batch_id: BatchId
    slice_id: SliceId
    runner_id: RunnerId
    epoch: int
    model: ModelId
    lines: limits.Lines
    attempt: int
    reason: limits.ReasonText
    fault: RequestError | None = None


class ChunkCompleted(Event, frozen=True, kw_only=True):
    """Outcomes that were recorded together. `chunk` counts from 1 within a slice."""

    batch_id: BatchId
    slice_id: SliceId
    runner_id: RunnerId
    epoch: int
    chunk: int
    model: ModelId
    outcomes: Annotated[tuple[Outcome, ...], Json(limits.OUTCOME_BYTES_MAX)]


class ChunkOutline(Event, frozen=True, kw_only=True):
    """A ChunkCompleted read without its answers, for readers that only count."""

    batch_id: BatchId
    slice_id: SliceId
    runner_id: RunnerId
    epoch: int
    chunk: int
    model: ModelId
    outcomes: tuple[OutcomeOutline, ...]


class SliceReturned(Event, frozen=True, kw_only=True):
    """The lines that the runner will not finish, and why. `suspects` were inside the engine when it died."""

    batch_id: BatchId
    slice_id: SliceId
    runner_id: RunnerId
    epoch: int
    lines: limits.Lines
    reason: ReturnReason
    detail: limits.Detail = ""
    suspects: limits.Lines = ()


class Ending(StrEnum):
    """How counting stopped."""

    COMPLETED = "completed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class BatchFinalizing(Event, frozen=True, kw_only=True):
    """Counting has ended: outcomes recorded after this event do not count. Lines without an outcome never ran."""

    batch_id: BatchId
    ending: Ending
    never_ran_count: int


class BatchSealed(Event, frozen=True, kw_only=True):
    """The fields that the three terminal events share: the files are written, fsynced and stored."""

    batch_id: BatchId
    counts: RequestCounts
    usage: Usage
    output_file_id: FileId | None = None
    error_file_id: FileId | None = None


class BatchCompleted(BatchSealed, frozen=True, kw_only=True):
    """Every line has an outcome."""


class BatchCancelled(BatchSealed, frozen=True, kw_only=True):
    """The owner ended the batch. Lines that never ran are in the error file."""


class BatchExpired(BatchSealed, frozen=True, kw_only=True):
    """The batch ended because its completion window ended. Lines that never ran are in the error file."""


class BatchArchived(Event, frozen=True, kw_only=True):
    """The events of the batch from `first_sequence` to `last_sequence` are in `blob`, written, fsynced and read back.

    From now on the log need not keep its chunks. The newest archive of a batch counts. `erased` names the files of the
    batch (`output`, `error`) whose answers the archive no longer has.
    """

    batch_id: BatchId
    blob: limits.BlobName
    bytes: int
    sha256: limits.Word
    first_sequence: int
    last_sequence: int
    event_count: int
    outcome_count: int
    erased: Annotated[tuple[limits.Word, ...], Items(limits.OUTPUT_KINDS_COUNT)] = ()


SealedEvent = BatchCompleted | BatchCancelled | BatchExpired
QualityEvent = BatchQualityDropped | BatchErrorShareExceeded
SteeringEvent = BatchPaused | BatchResumed | BatchPriorityChanged
StatusEvent = BatchCreated | BatchValidated | BatchRejected | BatchCancelRequested | BatchFinalizing | SealedEvent
SliceEvent = BatchDispatched | ChunkCompleted | ChunkOutline | SliceReturned
BatchEvent = StatusEvent | SteeringEvent | SliceEvent | QualityEvent | BatchFirstAnswered | BatchArchived
