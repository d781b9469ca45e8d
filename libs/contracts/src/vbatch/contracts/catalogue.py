"""The table of events: the wire name, version, writer, aggregate and message id of each.

Wire names are written here by hand, so renaming a class never renames an event.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vbatch.contracts import events as e
from vbatch.contracts.bounds import json_bytes_max
from vbatch.contracts.failures import ReturnReason
from vbatch.contracts.ids import model_token, owner_token
from vbatch.contracts.limits import HEADERS_BYTES_MAX

FIELD_ID: Mapping[str, str] = {
    "file": "file_id",
    "upload": "upload_id",
    "batch": "batch_id",
    "runner": "runner_id",
    "scheduler": "scheduler_id",
    "results": "results_id",
    "key": "key_id",
    "webhook": "endpoint_id",
    "notifier": "notifier_id",
    "dead_letter": "letter",
    "judgement": "batch_id",
    "dataset": "dataset_id",
    "labeling": "labeling_id",
    "labeler": "labeler_id",
    "evaluation": "evaluation_id",
}


@dataclass(frozen=True, slots=True)
class EventKind:
    """One row. `name` is `<aggregate>.<event>`; `key` distinguishes events of one aggregate that share a name."""

    name: str
    version: int
    type: type[e.Event]
    writers: tuple[str, ...]
    key: Callable[[Any], str] = lambda event: ""
    place: str = ""
    """The last token of the subject if it differs from the name: an event that ends a lease is stored with the
    leases."""

    @property
    def aggregate(self) -> str:
        return self.name.split(".")[0]

    @property
    def bytes_max(self) -> int:
        """The size of the largest possible message, headers included, with every field at its bound."""
        return HEADERS_BYTES_MAX + json_bytes_max(self.type)

    @property
    def ce_type(self) -> str:
        return f"vbatch.{self.name}.v{self.version}"

    def aggregate_id(self, event: e.Event) -> str:
        match event:
            case e.ModelRegistered():
                return model_token(event.model.id)
            case e.ModelRemoved():
                return model_token(event.model_id)
            case e.OwnerQuotaChanged():
                return owner_token(event.owner)
            case e.LimitsChanged() | e.QueuePaused() | e.QueueResumed():
                return "main"
            case _:
                return str(getattr(event, FIELD_ID[self.aggregate]))

    def subject(self, event: e.Event) -> str:
        return f"evt.{self.aggregate}.{self.aggregate_id(event)}.{self.place or self.name.split('.')[1]}"

    def message_id(self, event: e.Event) -> str:
        """Return the same id for the same event, so that the log stores it once."""
        key = self.key(event)
        return f"{self.aggregate_id(event)}:{self.name}" + (f":{key}" if key else "")


JUDGEMENT_WRITERS = ("gateway", "labeler", "results")
"""People judge over the API and in Label Studio. The results service reads a model's verdicts when its batch has
ended."""

KINDS: tuple[EventKind, ...] = (
    EventKind("file.stored", 1, e.FileStored, ("gateway", "results")),
    EventKind("file.deleted", 1, e.FileDeleted, ("gateway", "results", "operator")),
    EventKind("upload.created", 1, e.UploadCreated, ("gateway",)),
    EventKind("upload.part_added", 1, e.UploadPartAdded, ("gateway",), lambda event: event.part_id),
    # The file id keeps two simultaneous completions apart: each makes a file of its own.
    EventKind("upload.completed", 1, e.UploadCompleted, ("gateway",), lambda event: event.file_id),
    EventKind("upload.cancelled", 1, e.UploadCancelled, ("gateway",)),
    EventKind("upload.parts_removed", 1, e.UploadPartsRemoved, ("gateway",)),
    EventKind("batch.created", 3, e.BatchCreated, ("gateway",)),
    EventKind("batch.cancel_requested", 1, e.BatchCancelRequested, ("gateway",)),
    EventKind("batch.first_answered", 1, e.BatchFirstAnswered, ("scheduler",)),
    EventKind("batch.quality_dropped", 1, e.BatchQualityDropped, ("scheduler",), lambda event: event.flaw),
    EventKind("batch.error_share_exceeded", 1, e.BatchErrorShareExceeded, ("scheduler",)),
    EventKind("batch.paused", 1, e.BatchPaused, ("gateway", "scheduler"), lambda event: _stamp(event)),
    EventKind("batch.resumed", 1, e.BatchResumed, ("gateway",), lambda event: _stamp(event)),
    EventKind("batch.priority_changed", 1, e.BatchPriorityChanged, ("gateway",), lambda event: _stamp(event)),
    EventKind("batch.validated", 1, e.BatchValidated, ("scheduler",)),
    EventKind("batch.rejected", 1, e.BatchRejected, ("scheduler",)),
    EventKind("batch.dispatched", 1, e.BatchDispatched, ("scheduler",), lambda event: event.slice_id),
    EventKind(
        "batch.chunk_completed", 2, e.ChunkCompleted, ("gpu-runner",), lambda event: f"{event.slice_id}:{event.chunk}"
    ),
    EventKind("batch.slice_returned", 1, e.SliceReturned, ("gpu-runner",), lambda event: _return(event)),
    EventKind("batch.finalizing", 1, e.BatchFinalizing, ("scheduler",)),
    EventKind("batch.completed", 1, e.BatchCompleted, ("results",)),
    EventKind("batch.cancelled", 1, e.BatchCancelled, ("results",)),
    EventKind("batch.expired", 1, e.BatchExpired, ("results",)),
    EventKind("batch.archived", 1, e.BatchArchived, ("results",), lambda event: event.sha256),
    EventKind("runner.lease", 1, e.RunnerLeased, ("gpu-runner",), lambda event: f"{event.pid}:{_stamp(event)}"),
    EventKind(
        "runner.model_loading", 2, e.ModelLoading, ("gpu-runner",), lambda event: f"{event.epoch}:{_stamp(event)}"
    ),
    EventKind("runner.model_loaded", 2, e.ModelLoaded, ("gpu-runner",), lambda event: f"{event.epoch}:{_stamp(event)}"),
    EventKind("runner.model_failed", 1, e.ModelFailed, ("gpu-runner",), lambda event: f"{event.epoch}:{_stamp(event)}"),
    EventKind(
        "runner.engine_crashed", 1, e.EngineCrashed, ("gpu-runner",), lambda event: f"{event.epoch}:{_stamp(event)}"
    ),
    EventKind(
        "runner.profile_lowered", 1, e.ProfileLowered, ("gpu-runner",), lambda event: f"{event.epoch}:{_stamp(event)}"
    ),
    EventKind(
        "runner.profile_tuned", 1, e.ProfileTuned, ("gpu-runner",), lambda event: f"{event.epoch}:{_stamp(event)}"
    ),
    EventKind(
        "runner.model_demanded", 1, e.ModelDemanded, ("scheduler",), lambda event: f"{event.epoch}:{_stamp(event)}"
    ),
    EventKind("runner.stopped", 1, e.RunnerStopped, ("gpu-runner",), lambda event: str(event.epoch)),
    EventKind("runner.lost", 1, e.RunnerLost, ("scheduler",), lambda event: str(event.epoch), place="lease"),
    EventKind("runner.drain_requested", 1, e.RunnerDrainRequested, ("gateway",), lambda event: _stamp(event)),
    EventKind("runner.drained", 1, e.RunnerDrained, ("gpu-runner",), lambda event: f"{event.epoch}:{event.request}"),
    EventKind("runner.resumed", 1, e.RunnerResumed, ("gateway",), lambda event: _stamp(event)),
    EventKind("scheduler.lease", 1, e.SchedulerLeased, ("scheduler",), lambda event: f"{event.pid}:{_stamp(event)}"),
    EventKind("results.lease", 1, e.ResultsLeased, ("results",), lambda event: f"{event.pid}:{_stamp(event)}"),
    EventKind("model.registered", 3, e.ModelRegistered, ("gateway",), lambda event: _stamp(event)),
    EventKind("model.removed", 1, e.ModelRemoved, ("gateway",), lambda event: _stamp(event)),
    EventKind("key.created", 1, e.KeyCreated, ("gateway", "operator")),
    EventKind("key.revoked", 1, e.KeyRevoked, ("gateway",)),
    EventKind("key.expiry_set", 1, e.KeyExpirySet, ("gateway",), lambda event: _stamp(event)),
    EventKind("owner.quota_changed", 1, e.OwnerQuotaChanged, ("gateway",), lambda event: _stamp(event)),
    EventKind("limits.changed", 1, e.LimitsChanged, ("gateway",), lambda event: _stamp(event)),
    EventKind("notifier.lease", 1, e.NotifierLeased, ("notifier",), lambda event: f"{event.pid}:{_stamp(event)}"),
    EventKind("webhook.created", 1, e.WebhookCreated, ("gateway",)),
    EventKind("webhook.updated", 1, e.WebhookUpdated, ("gateway",), lambda event: _stamp(event)),
    EventKind("webhook.deleted", 1, e.WebhookDeleted, ("gateway",)),
    EventKind("webhook.disabled", 1, e.WebhookDisabled, ("notifier", "gateway"), lambda event: _stamp(event)),
    EventKind("webhook.enabled", 1, e.WebhookEnabled, ("gateway",), lambda event: _stamp(event)),
    EventKind("webhook.secret_rotated", 1, e.WebhookSecretRotated, ("gateway",), lambda event: event.secret_ref),
    EventKind("webhook.test_asked", 1, e.WebhookTestAsked, ("gateway",), lambda event: event.delivery_id),
    EventKind(
        "webhook.resend_asked",
        1,
        e.WebhookResendAsked,
        ("gateway",),
        lambda event: f"{event.delivery_id}:{_stamp(event)}",
    ),
    EventKind("webhook.queued", 1, e.WebhookQueued, ("notifier",), lambda event: event.delivery_id),
    EventKind(
        "webhook.delivered", 1, e.WebhookDelivered, ("notifier",), lambda event: f"{event.delivery_id}:{event.attempt}"
    ),
    EventKind(
        "webhook.failed", 1, e.WebhookFailed, ("notifier",), lambda event: f"{event.delivery_id}:{event.attempt}"
    ),
    EventKind(
        "webhook.exhausted", 1, e.WebhookExhausted, ("notifier",), lambda event: f"{event.delivery_id}:{event.attempts}"
    ),
    EventKind("queue.paused", 1, e.QueuePaused, ("gateway",), lambda event: _stamp(event)),
    EventKind("queue.resumed", 1, e.QueueResumed, ("gateway",), lambda event: _stamp(event)),
    EventKind("dead_letter.retried", 1, e.DeadLetterRetried, ("gateway", "operator"), lambda event: _stamp(event)),
    EventKind("dead_letter.dropped", 1, e.DeadLetterDropped, ("gateway", "operator"), lambda event: _stamp(event)),
    EventKind("judgement.recorded", 1, e.JudgementRecorded, JUDGEMENT_WRITERS, lambda event: event.judgement_id),
    EventKind("judgement.compared", 1, e.AnswersCompared, JUDGEMENT_WRITERS, lambda event: event.judgement_id),
    EventKind("judgement.withdrawn", 1, e.JudgementWithdrawn, ("gateway", "labeler"), lambda event: event.judgement_id),
    EventKind("dataset.version_created", 1, e.DatasetVersionCreated, ("gateway",), lambda event: str(event.version)),
    EventKind("dataset.version_deleted", 1, e.DatasetVersionDeleted, ("gateway",), lambda event: str(event.version)),
    EventKind("labeler.lease", 1, e.LabelerLeased, ("labeler",), lambda event: f"{event.pid}:{_stamp(event)}"),
    EventKind("labeling.requested", 1, e.LabelingRequested, ("gateway",)),
    EventKind("labeling.project_linked", 1, e.ProjectLinked, ("labeler",)),
    EventKind("labeling.tasks_pushed", 1, e.TasksPushed, ("labeler",), lambda event: str(event.pushed_count)),
    EventKind("labeling.failed", 1, e.LabelingFailed, ("labeler",)),
    EventKind("evaluation.requested", 1, e.EvaluationRequested, ("gateway",)),
    EventKind("evaluation.recorded", 1, e.EvaluationRecorded, ("results",), lambda event: str(event.done_count)),
)

BY_TYPE: Mapping[type[e.Event], EventKind] = {kind.type: kind for kind in KINDS}
BY_CE_TYPE: Mapping[str, EventKind] = {kind.ce_type: kind for kind in KINDS}


def _return(event: e.SliceReturned) -> str:
    """A slice ends with one return, but a pause may have returned a part of it before."""
    is_part = event.reason is ReturnReason.PREEMPTED
    return f"{event.slice_id}:{event.reason}" if is_part else event.slice_id


def _resend(event: e.WebhookResendAsked) -> str:
    return f"{event.delivery_id}:{_stamp(event)}"


def _stamp(event: e.Event) -> str:
    return str(int(event.at.timestamp() * 1_000_000))
