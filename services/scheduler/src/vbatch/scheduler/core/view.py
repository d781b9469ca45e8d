"""What a policy is told of the state: the batches that could run, with what is known of their work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from vbatch.contracts.events import NO_USAGE
from vbatch.contracts.ids import BatchId, ModelId
from vbatch.scheduler.core.estimates import Gauge, units
from vbatch.scheduler.core.job import Job, stop_asked_at
from vbatch.scheduler.core.loading import may_send
from vbatch.scheduler.core.policy import Candidate, View, priority_weight
from vbatch.scheduler.core.state import Runner, State


def view_of(state: State, runner: Runner, now: datetime) -> View:
    """What could run on this runner after what it holds."""
    free_at = now.timestamp() + backlog(state, runner)
    return View(
        now=free_at,
        candidates=candidates_of(state, now),
        loaded=runner.model,
        resident=free_at - runner.resident_since.timestamp() if runner.resident_since else 0.0,
        swap_seconds=state.estimates.swap_seconds,
        swap_default=state.estimates.swap_default,
    )


def candidates_of(state: State, now: datetime) -> list[Candidate]:
    """The batches with requests that could run."""
    ready = list(_ready(state, now))
    shares = state.estimates.shares((job.created.owner for job, _ in ready), now.timestamp())
    gauges = {model: state.estimates.gauge(model) for model in {model for _, model in ready}}
    return [_candidate(job, model, gauges[model], shares[job.created.owner]) for job, model in ready]


def _ready(state: State, now: datetime) -> Iterator[tuple[Job, ModelId]]:
    sendable: dict[ModelId, bool] = {}
    for job in state.jobs.values():
        model = job.model
        if model is None or job.plan is None or job.is_paused or not job.waiting_count or stop_asked_at(job, now):
            continue
        if job.held_until is not None and now < job.held_until:
            continue
        if model not in sendable:
            sendable[model] = may_send(state, model, now)
        if sendable[model]:
            yield job, model


def _candidate(job: Job, model: ModelId, gauge: Gauge, share: float) -> Candidate:
    created = job.created
    return Candidate(
        batch_id=created.batch_id,
        model=model,
        owner=created.owner,
        sequence=job.sequence,
        work=seconds_of(job, gauge, job.waiting_count),
        error=gauge.error(job.ledger.answered if job.ledger else 0),
        arrived=job.arrived,
        due=job.due,
        has_run=job.has_run,
        weight=share * priority_weight(job.steering.priority),
        priority=job.steering.priority,
    )


def gauged(state: State, job: Job) -> Gauge | None:
    """What the batch's requests are measured with; None while its model is not known."""
    return state.estimates.gauge(job.model) if job.model is not None else None


def seconds_of(job: Job, gauge: Gauge, requests: int) -> float:
    """What so many of the batch's requests take."""
    finished, used = (job.ledger.answered, job.ledger.usage) if job.ledger else (0, NO_USAGE)
    done = units(finished, used) if finished else 0.0
    return gauge.seconds(requests, request_bytes=job.request_bytes, finished=finished, finished_units=done)


def backlog(state: State, runner: Runner) -> float:
    """Seconds until the runner has done what it holds."""
    owed = ((state.jobs.get(it.event.batch_id), it) for it in state.slices_of(runner.runner_id))
    return sum(seconds_of(job, state.estimates.gauge(it.event.model), len(it.lines)) for job, it in owed if job)


def held_until(state: State, runner: Runner, now: datetime) -> Mapping[BatchId, float]:
    """When the runner will have answered the last request it holds of each batch, in seconds since 1970: it runs them
    in the order they were sent."""
    ends, at = dict[BatchId, float](), now.timestamp()
    for it in state.slices_of(runner.runner_id):
        if job := state.jobs.get(it.event.batch_id):
            at += seconds_of(job, state.estimates.gauge(it.event.model), len(it.lines))
            ends[job.batch_id] = at
    return ends
