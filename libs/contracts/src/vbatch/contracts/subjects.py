"""The subjects of messages. An aggregate is `evt.<aggregate>.<id>.>`; no request, line or chunk is part of a
subject."""

from __future__ import annotations

from vbatch.contracts.ids import (
    BatchId,
    DatasetId,
    EndpointId,
    EvaluationId,
    FileId,
    KeyId,
    LabelingId,
    RunnerId,
    UploadId,
)

ALL_EVENTS = "evt.>"
BATCHES_CREATED = "evt.batch.*.created"
UPLOAD_EVENTS = "evt.upload.>"
RUNNER_EVENTS = "evt.runner.>"
RUNNER_LEASES = "evt.runner.*.lease"
RUNNER_DRAINS = tuple(f"evt.runner.*.{event}" for event in ("drain_requested", "drained", "resumed"))
CHUNKS_COMPLETED = "evt.batch.*.chunk_completed"
BATCHES_ARCHIVED = "evt.batch.*.archived"
MODELS_LOADING = "evt.runner.*.model_loading"
MODELS_LOADED = "evt.runner.*.model_loaded"
MODEL_EVENTS = "evt.model.>"
KEY_EVENTS = "evt.key.>"
OWNER_EVENTS = "evt.owner.>"
LIMITS_EVENTS = "evt.limits.>"
QUEUE_EVENTS = "evt.queue.>"
WEBHOOK_EVENTS = "evt.webhook.>"
WEBHOOK_CHANGES = tuple(
    f"evt.webhook.*.{event}" for event in ("created", "updated", "deleted", "disabled", "enabled", "secret_rotated")
)
"""Changes of the endpoints themselves, without what was sent to them."""
JUDGEMENT_EVENTS = "evt.judgement.>"
DATASET_EVENTS = "evt.dataset.>"
LABELING_EVENTS = "evt.labeling.>"
LABELER_LEASES = "evt.labeler.*.lease"
NOTIFIER_LEASES = "evt.notifier.*.lease"


def batch_events(batch_id: BatchId) -> str:
    """All events of one batch; the last sequence among them is the batch's version."""
    return f"evt.batch.{batch_id}.>"


def chunks_of(batch_id: BatchId) -> str:
    """The answers of one batch, in the order they were recorded."""
    return f"evt.batch.{batch_id}.chunk_completed"


def archived(batch_id: BatchId) -> str:
    """The events that name the archives of one batch."""
    return f"evt.batch.{batch_id}.archived"


def file_events(file_id: FileId) -> str:
    """All events of one file."""
    return f"evt.file.{file_id}.>"


def upload_events(upload_id: UploadId) -> str:
    """All events of one upload in parts."""
    return f"evt.upload.{upload_id}.>"


def key_events(key_id: KeyId) -> str:
    """Everything that happened to one API key."""
    return f"evt.key.{key_id}.>"


def webhook_events(endpoint_id: EndpointId) -> str:
    """Everything that happened to one webhook endpoint, its deliveries included."""
    return f"evt.webhook.{endpoint_id}.>"


def attempt_events(endpoint_id: EndpointId) -> tuple[str, ...]:
    """How each attempt of each delivery to one webhook endpoint went."""
    return (f"evt.webhook.{endpoint_id}.delivered", f"evt.webhook.{endpoint_id}.failed")


def judgements_of(batch_id: BatchId) -> str:
    """What was said about the answers of one batch, and what was withdrawn."""
    return f"evt.judgement.{batch_id}.>"


def dataset_events(dataset_id: DatasetId) -> str:
    """All versions of one data set."""
    return f"evt.dataset.{dataset_id}.>"


def labeling_events(labeling_id: LabelingId) -> str:
    """Everything that happened to one labeling."""
    return f"evt.labeling.{labeling_id}.>"


def evaluation_events(evaluation_id: EvaluationId) -> str:
    """Everything that happened to one evaluation."""
    return f"evt.evaluation.{evaluation_id}.>"


def drains_of(runner_id: RunnerId) -> tuple[str, ...]:
    """What administrators ask of one runner."""
    return (f"evt.runner.{runner_id}.drain_requested", f"evt.runner.{runner_id}.resumed")


def work(runner_id: RunnerId, epoch: int) -> str:
    """Orders to one runner under one epoch; a runner with a newer epoch never receives them."""
    return f"work.{runner_id}.{epoch}"
