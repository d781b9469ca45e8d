"""The events: what has happened, in the past tense. A shipped event never changes; a new version joins it.

`catalogue` holds their wire names, versions and message ids, and `codec` makes their bytes. Times are aware UTC.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec

from vbatch.contracts import limits
from vbatch.contracts.access import Quota, RateLimits
from vbatch.contracts.bounds import Items, Json
from vbatch.contracts.failures import FileFault, RequestFault, ReturnReason
from vbatch.contracts.ids import (
    BatchId,
    DeliveryId,
    EndpointId,
    FileId,
    KeyId,
    ModelId,
    OwnerId,
    PartId,
    RunnerId,
    SliceId,
    UploadId,
)
from vbatch.contracts.models import ModelDefinition


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The shape that all events share: frozen and flat; unset optional fields stay off the wire. `at` is aware UTC."""

    at: datetime


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The tokens of one request, or the sum over many."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
        )


NO_USAGE = Usage()
NO_ANSWER = msgspec.Raw(b"null")


class BatchFault(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a failed batch's `errors.data`; all four keys are always present."""

    code: FileFault
    message: limits.FaultMessage
    line: int | None = None
    param: limits.Word | None = None


class RequestError(msgspec.Struct, frozen=True, kw_only=True):
    """Why a line has no HTTP answer: the `error` field of its output line."""

    code: RequestFault
    message: limits.ErrorMessage


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The result of one request: an HTTP answer (`status_code` and `body`, or `body_blob` when the body is too big for
    a message), or an `error`. `body` is the engine's JSON, unchanged. `seconds` is the time inside the engine."""

    line: int
    custom_id: limits.CustomId
    status_code: int | None = None
    body: limits.Answer = msgspec.field(default_factory=lambda: NO_ANSWER)
    body_blob: limits.BlobName | None = None
    error: RequestError | None = None
    usage: Usage = NO_USAGE
    seconds: float = 0.0

    @property
    def is_success(self) -> bool:
        return is_success(self.status_code)


class OutcomeOutline(msgspec.Struct, frozen=True):
    """An outcome read without its answer."""

    line: int
    status_code: int | None = None
    usage: Usage = NO_USAGE
    seconds: float = 0.0

    @property
    def is_success(self) -> bool:
        return is_success(self.status_code)


def is_success(status_code: int | None) -> bool:
    """Whether the request got a 2xx answer."""
    return status_code is not None and 200 <= status_code < 300


class RequestCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Counts as OpenAI defines them: lines that never ran are in neither `completed` nor `failed`."""

    total: int
    completed: int
    failed: int


class ModelTotal(msgspec.Struct, frozen=True, kw_only=True):
    """How many requests of a batch name this model, and their bytes."""

    model: ModelId
    requests: int
    input_bytes: int


# files


class FileStored(Event, frozen=True, kw_only=True):
    """The file's bytes are in the blob store under `blob`, fsynced. `batch_id` is set on output and error files."""

    file_id: FileId
    owner: OwnerId
    purpose: limits.Word
    filename: limits.Filename
    bytes: int
    sha256: limits.Word
    blob: limits.BlobName
    expires_at: datetime | None = None
    batch_id: BatchId | None = None


class FileDeleted(Event, frozen=True, kw_only=True):
    """The owner deleted the file; the bytes stay while an unfinished batch reads them."""

    file_id: FileId
    owner: OwnerId


# uploads in parts


class UploadEvent(Event, frozen=True, kw_only=True):
    """The fields that all events of an upload share."""


class UploadCreated(UploadEvent, frozen=True, kw_only=True):
    """A file of `bytes` bytes will arrive in parts. No part is accepted after `expires_at`."""

    upload_id: UploadId
    owner: OwnerId
    bytes: int
    filename: limits.Filename
    mime_type: limits.MimeType
    purpose: limits.Word
    expires_at: datetime
    file_expires_after_seconds: int | None = None


class UploadPartAdded(UploadEvent, frozen=True, kw_only=True):
    """The bytes of a part are in the blob store under `blob`, fsynced."""

    upload_id: UploadId
    part_id: PartId
    bytes: int
    blob: limits.BlobName


class UploadCompleted(UploadEvent, frozen=True, kw_only=True):
    """The parts, in this order, have become the file; its `file.stored` comes directly before this event in the log."""

    upload_id: UploadId
    part_ids: Annotated[tuple[PartId, ...], Items(limits.PARTS_COUNT_MAX)]
    file_id: FileId


class UploadCancelled(UploadEvent, frozen=True, kw_only=True):
    """The owner cancelled the upload."""

    upload_id: UploadId


class UploadPartsRemoved(UploadEvent, frozen=True, kw_only=True):
    """The upload was completed or cancelled or has expired, and the bytes of its parts are gone from the blob store."""

    upload_id: UploadId


# batches


class BatchCreated(Event, frozen=True, kw_only=True):
    """A batch was accepted; only its shape was checked. It must end by `expires_at`. Higher `priority` runs sooner."""

    batch_id: BatchId
    owner: OwnerId
    input_file_id: FileId
    endpoint: limits.Word
    completion_window: limits.Word
    expires_at: datetime
    metadata: limits.Metadata | None = None
    output_expires_after_seconds: int | None = None
    priority: int = 0


class BatchCancelRequested(Event, frozen=True, kw_only=True):
    """The owner asked for the batch to end; requests that are running are returned."""

    batch_id: BatchId


class BatchPaused(Event, frozen=True, kw_only=True):
    """No request of the batch starts until it is resumed; those inside the engine finish. Its window keeps running."""

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
    """The input file is invalid, so nothing of it runs. The faults are in line order."""

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
    """Outcomes that were recorded together. `chunk` counts from 1 inside a slice."""

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
    """The way in which counting stopped."""

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
    """The batch was ended by its owner; lines that never ran are in the error file."""


class BatchExpired(BatchSealed, frozen=True, kw_only=True):
    """The batch was ended by its window; lines that never ran are in the error file."""


# runners and leases


class RunnerLeased(Event, frozen=True, kw_only=True):
    """A runner process took its device. The sequence of this event is its epoch; older epochs lose their power."""

    runner_id: RunnerId
    device: limits.ShortText
    memory_bytes: int
    pid: int


class ProfileSetting(msgspec.Struct, frozen=True, kw_only=True):
    """One argument of an engine or, in capitals, a variable of its environment; and why it has this value."""

    name: limits.ShortText
    value: limits.ReasonText
    reason: limits.ReasonText


class ModelLoading(Event, frozen=True, kw_only=True):
    """The runner starts an engine with this model; what ran before is gone from the device. `profile` is all that the
    engine is told, what the device chose for it first; empty for one that is told nothing."""

    runner_id: RunnerId
    epoch: int
    model: ModelId
    profile: Annotated[tuple[ProfileSetting, ...], Items(limits.PROFILE_SETTINGS_COUNT_MAX)] = ()


class ModelLoaded(Event, frozen=True, kw_only=True):
    """The engine answers. `seconds` is the time from the last request fed to the previous engine until this one is
    ready; `window` is how many requests may be inside the engine at once."""

    runner_id: RunnerId
    epoch: int
    model: ModelId
    seconds: float
    window: int


class ModelFailed(Event, frozen=True, kw_only=True):
    """The engine did not start with this model; `detail` is the end of its own output."""

    runner_id: RunnerId
    epoch: int
    model: ModelId
    detail: limits.Detail


class EngineCrashed(Event, frozen=True, kw_only=True):
    """The engine died or fell silent while it served. `suspect_count` requests were inside it."""

    runner_id: RunnerId
    epoch: int
    model: ModelId
    detail: limits.Detail
    suspect_count: int


class ProfileLowered(Event, frozen=True, kw_only=True):
    """The engine ran out of memory and is started again with less: `argument` changed from `before` to `after`.

    `shortage` says which memory ran out: cache, device or host; `rung` counts the steps of this model from 1.
    """

    runner_id: RunnerId
    epoch: int
    model: ModelId
    rung: int
    shortage: limits.ShortText
    argument: limits.ShortText
    before: limits.ShortText
    after: limits.ShortText
    detail: limits.Detail


class RunnerStopped(Event, frozen=True, kw_only=True):
    """The runner process ends of its own accord and returns everything it held."""

    runner_id: RunnerId
    epoch: int
    reason: limits.ReasonText


class RunnerLost(Event, frozen=True, kw_only=True):
    """The runner has not asked for its orders for `silent_seconds`: its process or machine is gone or cut off. The
    event is stored among the leases, so the epoch has no power from here on; the runner's work runs elsewhere."""

    runner_id: RunnerId
    epoch: int
    silent_seconds: float


class LeaseTaken(Event, frozen=True, kw_only=True):
    """The fields that the leases of single-process services share."""


class SchedulerLeased(LeaseTaken, frozen=True, kw_only=True):
    """A scheduler process took over. The sequence of this event is its epoch."""

    scheduler_id: limits.Word
    pid: int


class ResultsLeased(LeaseTaken, frozen=True, kw_only=True):
    """A results process took over. The sequence of this event is its epoch."""

    results_id: limits.Word
    pid: int


class NotifierLeased(LeaseTaken, frozen=True, kw_only=True):
    """A notifier process took over. The sequence of this event is its epoch."""

    notifier_id: limits.Word
    pid: int


# models


class ModelRegistered(Event, frozen=True, kw_only=True):
    """Requests may name this model from now on, or its definition changed."""

    model: Annotated[ModelDefinition, Json(limits.MODEL_DEFINITION_BYTES_MAX)]


class ModelRemoved(Event, frozen=True, kw_only=True):
    """New batches may no longer name the model."""

    model_id: ModelId


# access


class AccessEvent(Event, frozen=True, kw_only=True):
    """The base of all events of keys, quotas and limits."""


class KeyCreated(AccessEvent, frozen=True, kw_only=True):
    """A key may be used from now on, until `expires_at` if that is set.

    Only the digest of the key is recorded; `hint` is its last four characters. `by` is the id of the key that asked,
    `local`, or `operator`.
    """

    key_id: KeyId
    owner: OwnerId
    name: limits.PersonText
    scopes: limits.Scopes
    sha256: limits.Word
    hint: limits.Word
    by: limits.Word
    expires_at: datetime | None = None


class KeyRevoked(AccessEvent, frozen=True, kw_only=True):
    """The key opens nothing any more."""

    key_id: KeyId
    by: limits.Word
    reason: limits.PersonText = ""


class KeyExpirySet(AccessEvent, frozen=True, kw_only=True):
    """The key opens nothing from `expires_at` on. `replaced_by` is set when it was rotated."""

    key_id: KeyId
    expires_at: datetime
    by: limits.Word
    replaced_by: KeyId | None = None


class OwnerQuotaChanged(AccessEvent, frozen=True, kw_only=True):
    """What the owner may have at most; it takes the place of the quota before."""

    owner: OwnerId
    quota: Quota
    by: limits.Word


class LimitsChanged(AccessEvent, frozen=True, kw_only=True):
    """How often each key may ask, from now on in every gateway."""

    before: RateLimits
    after: RateLimits
    by: limits.Word


# webhooks


class WebhookEvent(Event, frozen=True, kw_only=True):
    """The base of all events of webhook endpoints and deliveries."""


class WebhookCreated(WebhookEvent, frozen=True, kw_only=True):
    """An endpoint of its owner is told of these types of events from now on.

    `secret_ref` names the file that holds the signing secret, which is in no event; `secret_hint` is how it ends.
    """

    endpoint_id: EndpointId
    owner: OwnerId
    name: limits.PersonText
    url: limits.Url
    event_types: limits.EventTypes
    secret_ref: limits.Word
    secret_hint: limits.Word
    by: limits.Word


class WebhookUpdated(WebhookEvent, frozen=True, kw_only=True):
    """The endpoint is this from now on."""

    endpoint_id: EndpointId
    name: limits.PersonText
    url: limits.Url
    event_types: limits.EventTypes
    by: limits.Word


class WebhookDeleted(WebhookEvent, frozen=True, kw_only=True):
    """Nothing more is sent to the endpoint, not even what waits."""

    endpoint_id: EndpointId
    by: limits.Word


class WebhookDisabled(WebhookEvent, frozen=True, kw_only=True):
    """Nothing is sent to the endpoint until it is enabled; what waits, waits, and nothing new is queued."""

    endpoint_id: EndpointId
    by: limits.Word
    reason: limits.ReasonText


class WebhookEnabled(WebhookEvent, frozen=True, kw_only=True):
    """Its owner wants the endpoint to be told again."""

    endpoint_id: EndpointId
    by: limits.Word


class WebhookSecretRotated(WebhookEvent, frozen=True, kw_only=True):
    """Deliveries are signed with another secret, and until `old_valid_until` with the one before as well."""

    endpoint_id: EndpointId
    secret_ref: limits.Word
    secret_hint: limits.Word
    by: limits.Word
    old_valid_until: datetime | None = None


class WebhookTestAsked(WebhookEvent, frozen=True, kw_only=True):
    """Its owner wants to see one delivery of this type, now; it is tried once."""

    endpoint_id: EndpointId
    delivery_id: DeliveryId
    event_type: limits.Word
    by: limits.Word


class WebhookResendAsked(WebhookEvent, frozen=True, kw_only=True):
    """Its owner wants a delivery once more, with the same id and bytes; its tries begin again."""

    endpoint_id: EndpointId
    delivery_id: DeliveryId
    by: limits.Word


class WebhookQueued(WebhookEvent, frozen=True, kw_only=True):
    """Something to tell the endpoint. `body` is what every try sends."""

    endpoint_id: EndpointId
    delivery_id: DeliveryId
    event_type: limits.Word
    body: limits.Payload
    is_test: bool = False


class WebhookDelivered(WebhookEvent, frozen=True, kw_only=True):
    """The endpoint took the delivery, at this attempt; `answer` is how its answer began."""

    endpoint_id: EndpointId
    delivery_id: DeliveryId
    attempt: int
    status_code: int
    milliseconds: int
    answer: limits.ShortAnswer = ""


class WebhookFailed(WebhookEvent, frozen=True, kw_only=True):
    """An attempt was answered otherwise (`status_code`) or not at all (`error`). Without `next_at` it was the last."""

    endpoint_id: EndpointId
    delivery_id: DeliveryId
    attempt: int
    milliseconds: int
    status_code: int | None = None
    error: limits.ReasonText | None = None
    answer: limits.ShortAnswer = ""
    next_at: datetime | None = None


class WebhookExhausted(WebhookEvent, frozen=True, kw_only=True):
    """All tries of a delivery are used up; it lies among the dead letters."""

    endpoint_id: EndpointId
    delivery_id: DeliveryId
    attempts: int


# all of them

FileEvent = FileStored | FileDeleted
AnyUploadEvent = UploadCreated | UploadPartAdded | UploadCompleted | UploadCancelled | UploadPartsRemoved
SealedEvent = BatchCompleted | BatchCancelled | BatchExpired
SteeringEvent = BatchPaused | BatchResumed | BatchPriorityChanged
StatusEvent = BatchCreated | BatchValidated | BatchRejected | BatchCancelRequested | BatchFinalizing | SealedEvent
SliceEvent = BatchDispatched | ChunkCompleted | ChunkOutline | SliceReturned
BatchEvent = StatusEvent | SteeringEvent | SliceEvent
EngineEvent = ModelLoading | ModelLoaded | ModelFailed | EngineCrashed | ProfileLowered
RunnerEvent = RunnerLeased | EngineEvent | RunnerStopped | RunnerLost
LeaseEvent = SchedulerLeased | ResultsLeased | NotifierLeased
ModelEvent = ModelRegistered | ModelRemoved
AnyAccessEvent = KeyCreated | KeyRevoked | KeyExpirySet | OwnerQuotaChanged | LimitsChanged
AnyWebhookEvent = (
    WebhookCreated
    | WebhookUpdated
    | WebhookDeleted
    | WebhookDisabled
    | WebhookEnabled
    | WebhookSecretRotated
    | WebhookTestAsked
    | WebhookResendAsked
    | WebhookQueued
    | WebhookDelivered
    | WebhookFailed
    | WebhookExhausted
)
AnyEvent = (
    FileEvent | AnyUploadEvent | BatchEvent | RunnerEvent | LeaseEvent | ModelEvent | AnyAccessEvent | AnyWebhookEvent
)
"""Every event there is; a `match` over it that ends in `assert_never` names the events it ignores."""
