"""What a policy is told of the state: the batches that could run, with what is known of their work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from vbatch.contracts.ids import ModelId, OwnerId
from vbatch.scheduler.core.estimates import Ask, Work, units
from vbatch.scheduler.core.job import Job, stop_asked_at
from vbatch.scheduler.core.loading import may_send
from vbatch.scheduler.core.policy import Candidate, View
from vbatch.scheduler.core.state import Runner, State


def view_of(state: State, runner: Runner, now: datetime) -> View:
    """What could run on this runner after what it holds."""
    ready = list(_ready(state, now))
    at = now.timestamp()
    shares = state.estimates.shares((job.created.owner for job, _ in ready), at)
    free_at = at + backlog(state, runner)
    return View(
        now=free_at,
        candidates=[_candidate(state, job, model, shares) for job, model in ready],
        loaded=runner.model,
        resident=free_at - runner.resident_since.timestamp() if runner.resident_since else 0.0,
        swap_seconds=state.estimates.swap_seconds,
        swap_default=state.estimates.swap_default,
    )


def _ready(state: State, now: datetime) -> Iterator[tuple[Job, ModelId]]:
    sendable: dict[ModelId, bool] = {}
    for job in state.jobs.values():
        model = job.model
        if job.plan is None or model is None or not job.has_waiting or stop_asked_at(job, now):
            continue
        if job.held_until is not None and now < job.held_until:
            continue
        if model not in sendable:
            sendable[model] = may_send(state, model, now)
        if sendable[model]:
            yield job, model


def _candidate(state: State, job: Job, model: ModelId, shares: Mapping[OwnerId, float]) -> Candidate:
    work = work_of(state, job, model, job.waiting_count)
    created = job.created
    return Candidate(
        batch_id=created.batch_id,
        model=model,
        owner=created.owner,
        sequence=job.sequence,
        work=work.seconds,
        error=work.error,
        arrived=created.at.timestamp(),
        due=created.expires_at.timestamp(),
        has_run=job.has_run,
        weight=shares[created.owner],
    )


def work_of(state: State, job: Job, model: ModelId, requests: int) -> Work:
    """What so many of the batch's requests take."""
    ledger = job.ledger
    answered = ledger.answered if ledger else 0
    used = units(answered, ledger.usage) if ledger else 0.0
    return state.estimates.work(model, requests, Ask(job.request_bytes, answered, used))


def backlog(state: State, runner: Runner) -> float:
    """Seconds until the runner has done what it holds."""
    owed = ((state.jobs.get(it.event.batch_id), it) for it in state.slices_of(runner.runner_id))
    return sum(work_of(state, job, it.event.model, len(it.lines)).seconds for job, it in owed if job is not None)
