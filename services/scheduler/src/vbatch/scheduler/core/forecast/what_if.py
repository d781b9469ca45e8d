"""What would bring a batch's answers sooner. These are not guesses: the policy is asked again with one thing
changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from msgspec import structs

from vbatch.contracts.durations import rough_duration
from vbatch.contracts.ids import BatchId
from vbatch.contracts.lifecycle import PRIORITY_MAX
from vbatch.scheduler.core.forecast.blocked_reason import blocked_reason
from vbatch.scheduler.core.forecast.simulation import SimulatedRun, simulate
from vbatch.scheduler.core.policy.policy import Candidate, Policy, View, priority_weight
from vbatch.scheduler.core.policy.view import views_of
from vbatch.scheduler.core.state.pending_batch import PendingBatch, stop_asked_at
from vbatch.scheduler.core.state.state import State

PRIORITY_RAISE = 50
"""The raise that is tried: enough to tell whether priority helps at all."""
WORTH_SAYING = 0.9
"""A change that shortens the wait by less than a tenth is not worth mentioning."""


def remedies(
    state: State, policy: Policy, batch: PendingBatch, run: SimulatedRun | None, now: datetime
) -> tuple[str, ...]:
    """Sentences, the best first; none for a batch that is being ended. `run` is the batch's simulated run."""
    if stop_asked_at(batch, now):
        return ()
    if batch.is_paused:
        return ("Resume it, so that it waits for its turn again.",)
    if state.is_queue_paused:
        return ("Resume all work: `vbatch resume --all`.",)
    if not state.runners:
        return ("Start a gpu-runner.",)
    if not state.available_runners():
        return ("Resume a runner: `vbatch runners resume RUNNER`.",)
    if run is None or run.ends is None or blocked_reason(state, batch, now):
        return ()
    return tuple(filter(None, (_priority(state, policy, batch, run, now), _completion_window(batch, run))))


def _priority(state: State, policy: Policy, batch: PendingBatch, run: SimulatedRun, now: datetime) -> str:
    raised = min(PRIORITY_MAX, batch.steering.priority + PRIORITY_RAISE)
    if raised == batch.steering.priority:
        return "It already has the highest priority."
    changed = _with_priority(state, policy, batch.batch_id, raised, now)
    if changed is None or changed.ends is None or run.ends is None:
        return ""
    start, before, after = now.timestamp(), run.ends - now.timestamp(), changed.ends - now.timestamp()
    if after > WORTH_SAYING * before:
        return "A higher priority would not end it much sooner: most of the wait is its own work."
    begins = f"start in about {rough_duration(changed.starts - start)} and end in about {rough_duration(after)}"
    return f"With priority {raised} it would {begins}; other batches would end later."


def _with_priority(
    state: State, policy: Policy, batch_id: BatchId, priority: int, now: datetime
) -> SimulatedRun | None:
    views = with_priority(views_of(state, now), batch_id, priority)
    return simulate(views, policy).runs.get(batch_id)


def with_priority(views: Sequence[View], batch_id: BatchId, priority: int) -> list[View]:
    """The same situation, if the batch had this priority."""
    return [
        replace(
            view,
            candidates=[
                _raised(candidate, priority) if candidate.batch_id == batch_id else candidate
                for candidate in view.candidates
            ],
        )
        for view in views
    ]


def _raised(candidate: Candidate, priority: int) -> Candidate:
    gain = priority_weight(priority) / priority_weight(candidate.priority)
    return structs.replace(candidate, weight=candidate.weight * gain, priority=priority)


def _completion_window(batch: PendingBatch, run: SimulatedRun) -> str:
    late = (run.ends or 0.0) - batch.created.expires_at.timestamp()
    if late <= 0:
        return ""
    return f"It is expected to end {rough_duration(late)} after its window: requests that miss it stay unanswered."
