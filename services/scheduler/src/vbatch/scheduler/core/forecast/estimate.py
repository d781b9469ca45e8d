"""When work that does not exist yet would end: the forecast of the queue with one more batch in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from vbatch.contracts.dry_run import RunEstimate
from vbatch.contracts.ids import BatchId, ModelId, OwnerId
from vbatch.scheduler.core.forecast.simulation import simulate
from vbatch.scheduler.core.policy.policy import Candidate, Policy
from vbatch.scheduler.core.policy.view import views_of
from vbatch.scheduler.core.state.cost_model import ERROR_NEW, OUTPUT_WEIGHT, REQUEST_UNITS
from vbatch.scheduler.core.state.state import State

NAME = BatchId("batch_of_a_dry_run")
MODEL_DOUBT, GUESS_DOUBT = 0.25, 9.0
"""The relative errors of a measured rate on requests whose length was sampled, and of a speed that was never
measured."""


@dataclass(frozen=True, slots=True)
class Work:
    """What would be asked of a model, in requests and tokens."""

    model: ModelId
    requests: int
    input_tokens: float
    output_tokens: float
    window_seconds: float


def estimate(state: State, policy: Policy, work: Work, now: datetime) -> RunEstimate:
    """The estimate for one more batch, created now."""
    costs, is_guess = state.costs, not state.costs.is_measured(work.model)
    units = REQUEST_UNITS * work.requests + work.input_tokens + OUTPUT_WEIGHT * work.output_tokens
    seconds = units * costs.model_cost(work.model).seconds_a_unit
    speed = costs.speeds.get(work.model)
    mean = speed.output_tokens / speed.requests if speed and speed.requests else None
    bare = RunEstimate(work_seconds=seconds, is_guess=is_guess, output_tokens_a_request=mean)
    return _with_times(bare, state, policy, work, now)


def _with_times(bare: RunEstimate, state: State, policy: Policy, work: Work, now: datetime) -> RunEstimate:
    candidate = _candidate(state, work, bare.work_seconds, now.timestamp())
    views = [replace(view, candidates=[*view.candidates, candidate]) for view in views_of(state, now)]
    run = simulate(views, policy).runs.get(NAME)
    if run is None or run.ends is None:
        return bare
    wait, doubt = run.ends - now.timestamp(), 1.0 + MODEL_DOUBT + (GUESS_DOUBT if bare.is_guess else 0.0)
    return RunEstimate(
        work_seconds=bare.work_seconds,
        is_guess=bare.is_guess,
        output_tokens_a_request=bare.output_tokens_a_request,
        starts_at=_time(run.starts),
        ends_at=_time(run.ends),
        ends_at_earliest=_time(now.timestamp() + wait / doubt),
        ends_at_latest=_time(now.timestamp() + wait * doubt),
    )


def _candidate(state: State, work: Work, seconds: float, now: float) -> Candidate:
    return Candidate(
        batch_id=NAME,
        model=work.model,
        owner=OwnerId("local"),
        sequence=state.sequence + 1,
        work=seconds,
        error=ERROR_NEW,
        arrived=now,
        due=now + work.window_seconds,
        has_run=False,
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(round(seconds), UTC)
