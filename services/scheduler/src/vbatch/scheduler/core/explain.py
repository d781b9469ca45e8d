"""What the batches wait for, and when their answers may come. It tells what is foreseen; it decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from vbatch.contracts.forecast import Before, Explanation, Foreseen
from vbatch.contracts.ids import BatchId
from vbatch.scheduler.core.admission import admission
from vbatch.scheduler.core.foresight import Course, foresee
from vbatch.scheduler.core.hindrance import hindrance
from vbatch.scheduler.core.job import Job
from vbatch.scheduler.core.policy import Policy
from vbatch.scheduler.core.reasons import span
from vbatch.scheduler.core.remedies import remedies
from vbatch.scheduler.core.state import State
from vbatch.scheduler.core.view import gauged, held_until, seconds_of, views_of

BEFORE_MAX = 20
"""How many of the batches that come before are named."""
MODEL_DOUBT = 0.1
"""Even a well measured rate moves."""
ORDER_DOUBT = 0.15
"""What waits may be overtaken when estimates change."""
GUESS_DOUBT = 9.0
"""A speed that was not measured may be ten times another."""
OVERTAKING = 0.33
"""Of the shorter work that arrives meanwhile, what is likely to come first; at the latest all of it."""


def queue(state: State, policy: Policy, now: datetime) -> tuple[Foreseen, ...]:
    """All unfinished batches, those that end first in front."""
    outlook = _outlook(state, policy, now)
    all_of_them = [outlook.foreseen(job) for job in state.jobs.values()]
    return tuple(sorted(all_of_them, key=lambda it: (it.ends_at is None, it.ends_at or now, not it.runs_now)))


def explain(state: State, policy: Policy, batch_id: BatchId, now: datetime) -> Explanation | None:
    """None for a batch that is unknown or has ended."""
    job = state.jobs.get(batch_id)
    if job is None:
        return None
    outlook = _outlook(state, policy, now)
    before = outlook.before(batch_id)
    return Explanation(
        at=now,
        batch=outlook.foreseen(job),
        runs_first=tuple(Before(batch_id=it, owner=state.jobs[it].created.owner) for it in before[:BEFORE_MAX]),
        more_first=max(0, len(before) - BEFORE_MAX),
        remedies=remedies(state, policy, job, outlook.courses.get(batch_id), now),
    )


@dataclass(frozen=True, slots=True)
class _Outlook:
    """`starting` are the batches in the order they start, `running` those with requests on a device."""

    state: State
    now: datetime
    courses: Mapping[BatchId, Course]
    running: frozenset[BatchId]
    starting: tuple[BatchId, ...]
    places: Mapping[BatchId, int]
    positions: Mapping[BatchId, int]
    guessed_from: int
    """The place of the first of a model that was not measured: it and what comes after it end at a guess."""

    def foreseen(self, job: Job) -> Foreseen:
        batch = self._with_times(self._bare(job), job)
        waits_for = hindrance(self.state, job, self.now) or self._turn(batch)
        return msgspec.structs.replace(batch, waits_for=waits_for)

    def before(self, batch_id: BatchId) -> tuple[BatchId, ...]:
        return self.starting[: self.places.get(batch_id, 0)]

    def _bare(self, job: Job) -> Foreseen:
        return Foreseen(
            batch_id=job.batch_id,
            owner=job.created.owner,
            model=job.model,
            status=job.status,
            priority=job.steering.priority,
            is_paused=job.is_paused,
            waiting_requests=job.waiting_count,
            runs_now=job.batch_id in self.running,
            position=0 if job.batch_id in self.running else self.positions.get(job.batch_id),
            requests_per_second=round(job.pace.by(self.now.timestamp()), 2) if job.ledger else None,
        )

    def _with_times(self, bare: Foreseen, job: Job) -> Foreseen:
        course = self.courses.get(job.batch_id)
        if course is None:
            return bare
        starts_at = None if bare.runs_now else _time(course.starts)
        told = msgspec.structs.replace(
            bare, work_seconds=round(course.work, 1), reason=course.reason, starts_at=starts_at
        )
        if course.ends is None:
            return told
        now = self.now.timestamp()
        load, doubt = 0.0, MODEL_DOUBT + course.error
        if self.places[job.batch_id] >= self.guessed_from:
            told, doubt = msgspec.structs.replace(told, is_guess=True), doubt + GUESS_DOUBT
        if job.waiting_count:
            load, doubt = self.state.arrivals.load_of_shorter(course.work, now), doubt + ORDER_DOUBT
        return _with_end(told, job, now, wait=course.ends - now, doubt=doubt, load=load)

    def _turn(self, batch: Foreseen) -> str:
        if batch.runs_now:
            return f"nothing, it runs now{self._to_go(batch)}"
        if batch.starts_at is None:
            return "its turn; too much waits to say when that is"
        start = span((batch.starts_at - self.now).total_seconds())
        before = self.places.get(batch.batch_id, 0)
        if not before:
            return f"what is on the device, about {start}"
        return f"{before} {'batch' if before == 1 else 'batches'} to run first, about {start}"

    def _to_go(self, batch: Foreseen) -> str:
        if batch.ends_at is None:
            return ""
        guess = ", at a guess" if batch.is_guess else ""
        return f"; about {span((batch.ends_at - self.now).total_seconds())} to go{guess}"


def _outlook(state: State, policy: Policy, now: datetime) -> _Outlook:
    courses = _foretold(state, policy, now)
    running = frozenset(it.event.batch_id for it in state.slices.values())
    starting = tuple(sorted(courses, key=lambda it: (courses[it].starts, it)))
    waiting = (it for it in starting if it not in running)
    measured = (state.estimates.is_measured(state.jobs[it].model) for it in starting)
    return _Outlook(
        state,
        now,
        courses,
        running,
        starting,
        places={it: place for place, it in enumerate(starting)},
        positions={it: position for position, it in enumerate(waiting, 1)},
        guessed_from=next((place for place, is_measured in enumerate(measured) if not is_measured), len(starting)),
    )


def _foretold(state: State, policy: Policy, now: datetime) -> Mapping[BatchId, Course]:
    courses = dict(foresee(views_of(state, now), policy))
    for runner in state.runners.values():
        for batch_id, ends in held_until(state, runner, now).items():
            job = state.jobs[batch_id]
            if not job.waiting_count and (gauge := gauged(state, job)) and job.ledger:
                work = seconds_of(job, gauge, job.ledger.total - job.ledger.answered)
                courses[batch_id] = Course(now.timestamp(), work, gauge.error(job.ledger.answered), ends=ends)
    return courses


def _with_end(told: Foreseen, job: Job, now: float, *, wait: float, doubt: float, load: float) -> Foreseen:
    """`wait` is how many seconds the end is away if nothing arrives, `doubt` how far that may be off, as a share of it,
    `load` the share of the device that shorter batches take which arrive meanwhile."""
    overtaken = load / (1.0 - load)  # the time in which the newcomers' work is done, newcomers of that time included
    earliest = _time(now + wait / (1.0 + doubt))
    likely = _time(now + wait * (1.0 + OVERTAKING * overtaken))
    latest = _time(now + wait * (1.0 + doubt) * (1.0 + overtaken))
    return msgspec.structs.replace(
        told,
        ends_at=likely,
        ends_at_earliest=earliest,
        ends_at_latest=latest,
        admission=admission(
            created=job.created.at,
            expires=job.created.expires_at,
            likely_end=earliest if told.is_guess else likely,  # nobody is warned by a guess alone
            latest_end=latest,
        ),
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(round(seconds), UTC)
