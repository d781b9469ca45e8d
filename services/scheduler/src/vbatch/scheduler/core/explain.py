"""What a batch waits for, and when its answers may come. It tells what is foreseen; it decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from vbatch.contracts.ids import BatchId, ModelId
from vbatch.contracts.lifecycle import BatchStatus
from vbatch.scheduler.core.foresight import Course, foresee
from vbatch.scheduler.core.job import Job, stop_asked_at
from vbatch.scheduler.core.loading import may_send
from vbatch.scheduler.core.policy import Policy
from vbatch.scheduler.core.reasons import span
from vbatch.scheduler.core.state import Runner, State
from vbatch.scheduler.core.view import backlog, gauged, seconds_of, view_of

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


def _foretold(state: State, policy: Policy, now: datetime) -> Mapping[BatchId, Course]:
    """As if the first runner did all: with more of them it will be sooner."""
    runner = next(iter(state.runners.values()), None)
    if runner is None:
        return {}
    courses = dict(foresee(view_of(state, runner, now), policy))
    for job in state.jobs.values():
        if job.batch_id not in courses and (last := _last_answers(state, job, runner, now)):
            courses[job.batch_id] = last
    return courses


def _last_answers(state: State, job: Job, runner: Runner, now: datetime) -> Course | None:
    """A batch whose every request is on the runner ends with what the runner holds."""
    if job.waiting_count or not state.slices_of_batch(job.batch_id):
        return None
    gauge = gauged(state, job)
    if gauge is None or job.ledger is None:
        return None
    own = sum(len(it.lines) for it in state.slices_of_batch(job.batch_id))
    start, work = now.timestamp(), seconds_of(job, gauge, own)
    return Course(start, work, gauge.error(job.ledger.answered), ends=start + backlog(state, runner))


def _foreseen(state: State, job: Job, foretold: Mapping[BatchId, Course], now: datetime) -> Foreseen:
    bare = Foreseen(
        batch_id=job.batch_id,
        model=job.model,
        status=job.status,
        waiting_requests=job.waiting_count,
        runs_now=bool(state.slices_of_batch(job.batch_id)),
    )
    course = foretold.get(job.batch_id)
    return bare if course is None else _with_times(bare, course, now)


def _with_times(bare: Foreseen, course: Course, now: datetime) -> Foreseen:
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


def _before(foretold: Mapping[BatchId, Course], batch_id: BatchId) -> Sequence[BatchId]:
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
