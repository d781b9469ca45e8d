"""What a policy is told of the state: the batches that could run, with what is known of their work."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from vbatch.contracts.ids import BatchId, ModelId, RunnerId
from vbatch.scheduler.core.estimates import Gauge, units
from vbatch.scheduler.core.job import Job, stop_asked_at
from vbatch.scheduler.core.loading import may_send
from vbatch.scheduler.core.policy import Candidate, View, priority_weight
from vbatch.scheduler.core.sharing import Holder
from vbatch.scheduler.core.state import Runner, State


def view_of(state: State, runner: Runner, now: datetime) -> View:
    """What could run on this runner after what it holds, whatever the others do."""
    free_at = now.timestamp() + backlog(state, runner)
    return View(
        now=free_at,
        candidates=candidates_of(state, runner.runner_id, now),
        loaded=runner.model,
        resident=free_at - runner.resident_since.timestamp() if runner.resident_since else 0.0,
        swap_seconds=state.estimates.swap_seconds,
        swap_default=state.estimates.swap_default,
    )


def views_of(state: State, now: datetime) -> list[View]:
    """Of each runner that lives."""
    return [view_of(state, it, now) for it in state.runners.values()]


def holders_beside(state: State, runner: Runner, now: datetime) -> list[Holder]:
    """The other runners that hold a model."""
    others = ((it, it.model) for it in state.runners.values() if it is not runner)
    return [Holder(model, now.timestamp() + backlog(state, it)) for it, model in others if model is not None]


def candidates_of(state: State, runner_id: RunnerId, now: datetime) -> list[Candidate]:
    """The batches with requests that could run there."""
    ready = [job for job in state.jobs.values() if _is_ready(job, now)]
    models = {job.model for job in ready if job.model is not None}
    gauges = {model: state.estimates.gauge(model) for model in models if may_send(state, runner_id, model, now)}
    owners = {job.created.owner for job in ready if job.model in gauges}
    shares = state.estimates.shares(owners, now.timestamp())
    return [
        _candidate(job, model, gauge, shares[job.created.owner])
        for job in ready
        if (model := job.model) is not None and (gauge := gauges.get(model)) is not None
    ]


def _is_ready(job: Job, now: datetime) -> bool:
    """Whether the batch has requests that may leave now; as it is asked of every batch, the usual answer is quick."""
    if job.plan is None or job.is_paused or not job.waiting_count:
        return False
    return (job.held_until is None or now >= job.held_until) and stop_asked_at(job, now) is None


def _candidate(job: Job, model: ModelId, gauge: Gauge, share: float) -> Candidate:
    created, priority = job.created, job.steering.priority
    return Candidate(
        batch_id=created.batch_id,
        model=model,
        owner=created.owner,
        sequence=job.sequence,
        work=seconds_of(job, gauge, job.waiting_count),
        error=gauge.error(job.ledger.answered if job.ledger and job.has_run else 0),
        arrived=job.arrived,
        due=job.due,
        has_run=job.has_run,
        weight=share * priority_weight(priority),
        priority=priority,
    )


def gauged(state: State, job: Job) -> Gauge | None:
    """What the batch's requests are measured with; None while its model is not known."""
    return state.estimates.gauge(job.model) if job.model is not None else None


def seconds_of(job: Job, gauge: Gauge, requests: int) -> float:
    """What so many of the batch's requests take."""
    ledger = job.ledger
    if ledger is None or not job.has_run:
        return gauge.seconds(requests, job.request_bytes)
    return gauge.seconds(requests, job.request_bytes, ledger.answered, units(ledger.answered, ledger.usage))


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
