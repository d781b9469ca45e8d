"""What would bring a batch's answers sooner. Not a guess: the policy is asked again, with that one thing changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from msgspec import structs

from vbatch.contracts.ids import BatchId
from vbatch.contracts.lifecycle import PRIORITY_MAX
from vbatch.scheduler.core.foresight import Course, foresee
from vbatch.scheduler.core.hindrance import hindrance
from vbatch.scheduler.core.job import Job, stop_asked_at
from vbatch.scheduler.core.policy import Candidate, Policy, priority_weight
from vbatch.scheduler.core.reasons import span
from vbatch.scheduler.core.state import State
from vbatch.scheduler.core.view import views_of

PRIORITY_RAISE = 50
"""What is tried: enough to tell whether priority helps at all."""
WORTH_SAYING = 0.9
"""An end that is not sooner by a tenth of the wait is no help."""


def remedies(state: State, policy: Policy, job: Job, course: Course | None, now: datetime) -> tuple[str, ...]:
    """Sentences, the best first; none for a batch that is being ended. `course` is what is foretold of it."""
    if stop_asked_at(job, now):
        return ()
    if job.is_paused:
        return ("Resume it, and it waits for its turn again.",)
    if not state.runners:
        return ("Start a gpu-runner.",)
    if course is None or course.ends is None or hindrance(state, job, now):
        return ()
    return tuple(filter(None, (_priority(state, policy, job, course, now), _window(job, course))))


def _priority(state: State, policy: Policy, job: Job, course: Course, now: datetime) -> str:
    raised = min(PRIORITY_MAX, job.steering.priority + PRIORITY_RAISE)
    if raised == job.steering.priority:
        return "It has the highest priority already."
    changed = _with_priority(state, policy, job.batch_id, raised, now)
    if changed is None or changed.ends is None or course.ends is None:
        return ""
    start, before, after = now.timestamp(), course.ends - now.timestamp(), changed.ends - now.timestamp()
    if after > WORTH_SAYING * before:
        return "More priority would not make it end much sooner: most of the wait is its own work."
    begins = f"start in about {span(changed.starts - start)} and end in about {span(after)}"
    return f"With priority {raised} it would {begins}, and others later."


def _with_priority(state: State, policy: Policy, batch_id: BatchId, priority: int, now: datetime) -> Course | None:
    views = [
        replace(view, candidates=[_raised(it, priority) if it.batch_id == batch_id else it for it in view.candidates])
        for view in views_of(state, now)
    ]
    return foresee(views, policy).get(batch_id)


def _raised(it: Candidate, priority: int) -> Candidate:
    gain = priority_weight(priority) / priority_weight(it.priority)
    return structs.replace(it, weight=it.weight * gain, priority=priority)


def _window(job: Job, course: Course) -> str:
    late = (course.ends or 0.0) - job.created.expires_at.timestamp()
    if late <= 0:
        return ""
    return f"It is foretold to end {span(late)} after its window: what has not run by then stays unanswered."
