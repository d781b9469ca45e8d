"""What a batch waits for, and when its answers may come: the policy is asked, again and again, what it would choose if
nothing new arrived. It foretells; it decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import msgspec

from vbatch.contracts.ids import BatchId, ModelId
from vbatch.contracts.lifecycle import BatchStatus
from vbatch.scheduler.core.job import Job, stop_asked_at
from vbatch.scheduler.core.loading import may_send
from vbatch.scheduler.core.policy import Candidate, Policy, View
from vbatch.scheduler.core.reasons import span
from vbatch.scheduler.core.state import Runner, State
from vbatch.scheduler.core.view import backlog, gauged, seconds_of, view_of

STEPS_MAX = 400
"""Choices looked ahead; what comes after them is not foretold."""
WEIGHED_MAX = 40_000
"""Batches weighed over all those choices, some 0.2 s: more would hold up the scheduler."""
SLICE_SECONDS = 120.0
"""How long a foretold choice stands, at least; with much work longer, so that the steps reach its end."""
BEFORE_MAX = 20
"""How many of the batches that come before are named."""
MODEL_DOUBT = 0.1
"""Even a well measured rate moves."""


class Foreseen(msgspec.Struct, frozen=True, kw_only=True):
    """One batch of the queue. Times are None where they are not foretold; `start` is None too for what has begun."""

    batch_id: BatchId
    model: ModelId | None
    status: BatchStatus
    waiting_requests: int
    runs_now: bool
    work_seconds: float | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    ends_at_earliest: datetime | None = None
    ends_at_latest: datetime | None = None
    reason: str = ""


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why one batch stands where it stands; `runs_first` are the batches that come before, in order."""

    batch: Foreseen
    waits_for: str
    runs_first: tuple[BatchId, ...] = ()


def queue(state: State, policy: Policy, now: datetime) -> tuple[Foreseen, ...]:
    """All unfinished batches, those that end first in front."""
    foretold = _foretold(state, policy, now)
    all_of_them = [_foreseen(state, job, foretold, now) for job in state.jobs.values()]
    return tuple(sorted(all_of_them, key=lambda it: (it.ends_at is None, it.ends_at or now, not it.runs_now)))


def explain(state: State, policy: Policy, batch_id: BatchId, now: datetime) -> Explanation | None:
    """None for a batch that is unknown or has ended."""
    job = state.jobs.get(batch_id)
    if job is None:
        return None
    foretold = _foretold(state, policy, now)
    before = _before(foretold, batch_id)
    batch = _foreseen(state, job, foretold, now)
    waits_for = _hindrance(state, job, now) or _turn(batch, before, now)
    return Explanation(batch=batch, waits_for=waits_for, runs_first=tuple(before[:BEFORE_MAX]))


@dataclass(slots=True)
class _Course:
    """What is foretold of one batch, in seconds since 1970."""

    starts: float
    reason: str
    work: float
    error: float
    ends: float | None = None


@dataclass(slots=True)
class _Ahead:
    """A device that goes on by itself from a view."""

    view: View
    left: dict[BatchId, Candidate] = field(default_factory=dict)
    courses: dict[BatchId, _Course] = field(default_factory=dict)

    def go(self, policy: Policy) -> Mapping[BatchId, _Course]:
        self.left = {it.batch_id: it for it in self.view.candidates}
        steps = min(STEPS_MAX, WEIGHED_MAX // max(1, len(self.left)))
        stand = max(SLICE_SECONDS, 2 * sum(it.work for it in self.view.candidates) / STEPS_MAX)
        for _ in range(steps):
            if (choice := policy(self.view)) is None:
                break
            self._serve(self.left[choice.batch_id], choice.reason, stand)
        return self.courses

    def _serve(self, it: Candidate, reason: str, stand: float) -> None:
        swap = self.view.swap(it.model)
        starts = self.view.now + swap
        served = min(it.work, stand)
        course = self.courses.setdefault(it.batch_id, _Course(starts, reason, it.work, it.error))
        if served < it.work:
            self.left[it.batch_id] = msgspec.structs.replace(it, work=it.work - served, has_run=True)
        else:
            del self.left[it.batch_id]
            course.ends = starts + served
        resident = served if swap else self.view.resident + served
        left = list(self.left.values())
        self.view = replace(self.view, now=starts + served, candidates=left, loaded=it.model, resident=resident)


def _foretold(state: State, policy: Policy, now: datetime) -> Mapping[BatchId, _Course]:
    """As if the first runner did all: with more of them it will be sooner."""
    runner = next(iter(state.runners.values()), None)
    if runner is None:
        return {}
    courses = dict(_Ahead(view_of(state, runner, now)).go(policy))
    for job in state.jobs.values():
        if job.batch_id not in courses and (last := _last_answers(state, job, runner, now)):
            courses[job.batch_id] = last
    return courses


def _last_answers(state: State, job: Job, runner: Runner, now: datetime) -> _Course | None:
    """A batch whose every request is on the runner ends with what the runner holds."""
    if job.waiting_count or not state.slices_of_batch(job.batch_id):
        return None
    gauge = gauged(state, job)
    if gauge is None or job.ledger is None:
        return None
    own = sum(len(it.lines) for it in state.slices_of_batch(job.batch_id))
    start, work = now.timestamp(), seconds_of(job, gauge, own)
    return _Course(start, "", work, gauge.error(job.ledger.answered), start + backlog(state, runner))


def _foreseen(state: State, job: Job, foretold: Mapping[BatchId, _Course], now: datetime) -> Foreseen:
    bare = Foreseen(
        batch_id=job.batch_id,
        model=job.model,
        status=job.status,
        waiting_requests=job.waiting_count,
        runs_now=bool(state.slices_of_batch(job.batch_id)),
    )
    course = foretold.get(job.batch_id)
    return bare if course is None else _with_times(bare, course, now)


def _with_times(bare: Foreseen, course: _Course, now: datetime) -> Foreseen:
    told = msgspec.structs.replace(bare, work_seconds=round(course.work, 1), reason=course.reason)
    if not bare.runs_now:
        told = msgspec.structs.replace(told, starts_at=_time(course.starts))
    if course.ends is None:
        return told
    wait, doubt = course.ends - now.timestamp(), MODEL_DOUBT + course.error
    return msgspec.structs.replace(
        told,
        ends_at=_time(course.ends),
        ends_at_earliest=_time(course.ends - wait * doubt / (1 + doubt)),
        ends_at_latest=_time(course.ends + wait * doubt),
    )


def _before(foretold: Mapping[BatchId, _Course], batch_id: BatchId) -> Sequence[BatchId]:
    own = foretold.get(batch_id)
    if own is None:
        return ()
    sooner = [(it.starts, other) for other, it in foretold.items() if it.starts < own.starts and other != batch_id]
    return [other for _, other in sorted(sooner)]


def _hindrance(state: State, job: Job, now: datetime) -> str:
    """What keeps the batch from running at all; empty when it only waits for its turn."""
    if stop_asked_at(job, now):
        return "the runner, to give back what it holds: the batch is being ended"
    if job.status is BatchStatus.VALIDATING:
        return "its input file to be checked"
    if job.plan is None or job.model is None:
        return "its input file to be read again, after a restart of the scheduler"
    if not state.runners:
        return "a runner: none is alive"
    if job.held_until is not None and now < job.held_until:
        return "a pause to pass: its requests came back"
    if not may_send(state, job.model, now):
        return f"another try to load {job.model}: the last one failed"
    return ""


def _turn(batch: Foreseen, before: Sequence[BatchId], now: datetime) -> str:
    if batch.runs_now:
        end = f"; about {span((batch.ends_at - now).total_seconds())} to go" if batch.ends_at else ""
        return f"nothing, it runs now{end}"
    if batch.starts_at is None:
        return "its turn; too much waits to say when that is"
    start = span((batch.starts_at - now).total_seconds())
    if not before:
        return f"what is on the device, about {start}"
    return f"{len(before)} {'batch' if len(before) == 1 else 'batches'} to run first, about {start}"


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(round(seconds), UTC)
