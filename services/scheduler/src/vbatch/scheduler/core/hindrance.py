"""What keeps a batch from running at all, whatever else waits."""

from __future__ import annotations

from datetime import datetime

from vbatch.contracts.lifecycle import BatchStatus
from vbatch.scheduler.core.job import Job, stop_asked_at
from vbatch.scheduler.core.loading import may_send
from vbatch.scheduler.core.state import State


def hindrance(state: State, job: Job, now: datetime) -> str:
    """Completes "it waits for"; empty when the batch only waits for its turn."""
    if stop_asked_at(job, now):
        return "the runner, to give back what it holds: the batch is being ended"
    if job.is_paused:
        return "its owner, to resume it: it is paused"
    if job.status is BatchStatus.VALIDATING:
        return "its input file to be checked"
    if job.plan is None or job.model is None:
        return "its input file to be read again, after a restart of the scheduler"
    if not state.runners:
        return "a runner: none is alive"
    if job.held_until is not None and now < job.held_until:
        return "a pause to pass: its requests came back"
    if not any(may_send(state, it, job.model, now) for it in state.runners):
        return f"another try to load {job.model}: the last one failed"
    return ""
