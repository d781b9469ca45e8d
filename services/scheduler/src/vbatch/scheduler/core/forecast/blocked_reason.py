"""What prevents a batch from running at all, regardless of the queue."""

from __future__ import annotations

from datetime import datetime

from vbatch.contracts.lifecycle import BatchStatus
from vbatch.scheduler.core.state.load_failures import may_send
from vbatch.scheduler.core.state.pending_batch import PendingBatch, stop_asked_at
from vbatch.scheduler.core.state.state import State


def blocked_reason(state: State, batch: PendingBatch, now: datetime) -> str:
    """Completes "it waits for"; empty when the batch only waits for its turn."""
    if stop_asked_at(batch, now):
        return "the runner to return its requests: the batch is ending"
    if batch.is_paused:
        return "its owner to resume it"
    if state.is_queue_paused:
        return "all work to be resumed: an administrator paused it"
    if batch.status is BatchStatus.VALIDATING:
        return "its input file to be checked"
    if batch.plan is None or batch.model is None:
        return "its input file to be read again after a restart of the scheduler"
    if not state.runners:
        return "a gpu-runner: none is running"
    if not state.available_runners():
        return "a runner to be resumed: an administrator drained every one"
    if batch.held_until is not None and now < batch.held_until:
        return "a short pause to end: a runner returned its requests"
    models = batch.waiting_models() or [batch.model]
    if not any(
        may_send(state, runner.runner_id, model, now) for runner in state.available_runners() for model in models
    ):
        return f"the next try to load {models[0]}: the last one failed"
    return ""
