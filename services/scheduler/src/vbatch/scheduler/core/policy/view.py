"""What a policy sees of the state: the batches that could run, and the estimates of their work."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from vbatch.contracts.ids import BatchId, ModelId, RunnerId
from vbatch.scheduler.core.policy.placement import Holder
from vbatch.scheduler.core.policy.policy import Candidate, View, priority_weight
from vbatch.scheduler.core.state.cost_model import ModelCost, units
from vbatch.scheduler.core.state.load_failures import may_send
from vbatch.scheduler.core.state.pending_batch import PendingBatch, stop_asked_at
from vbatch.scheduler.core.state.runner import Runner
from vbatch.scheduler.core.state.state import State


def view_of(state: State, runner: Runner, now: datetime) -> View:
    """What could run on this runner after the work it holds, whatever the other runners do."""
    free_at = now.timestamp() + backlog(state, runner)
    return View(
        now=free_at,
        candidates=candidates_of(state, runner.runner_id, now),
        loaded=runner.model,
        resident=free_at - runner.resident_since.timestamp() if runner.resident_since else 0.0,
        swap_seconds=state.costs.swap_seconds,
        swap_default=state.costs.swap_default,
    )


def views_of(state: State, now: datetime) -> list[View]:
    """A view for each live runner."""
    return [view_of(state, runner, now) for runner in state.runners.values()]


def holders_beside(state: State, runner: Runner, now: datetime) -> list[Holder]:
    """The other runners that hold a model and take work."""
    others = ((other, other.model) for other in state.available_runners() if other is not runner)
    return [
        Holder(model, now.timestamp() + backlog(state, runner_id)) for runner_id, model in others if model is not None
    ]


def has_waiting(state: State, now: datetime) -> bool:
    """Whether there is any batch with requests that some runner could get."""
    return not state.is_queue_paused and any(_is_ready(batch, now) for batch in state.batches.values())


def candidates_of(state: State, runner_id: RunnerId, now: datetime) -> list[Candidate]:
    """The batches with requests that could run on this runner; none while it is drained or all work is paused."""
    if state.is_queue_paused or runner_id in state.drains:
        return []
    ready = [batch for batch in state.batches.values() if _is_ready(batch, now)]
    models = {batch.model for batch in ready if batch.model is not None}
    models.update(model for batch in ready if batch.is_mixed for model in batch.waiting_models())
    gauges = {model: state.costs.model_cost(model) for model in models if may_send(state, runner_id, model, now)}
    runner = state.runners.get(runner_id)
    loaded = runner.model if runner is not None else None
    offered = [(batch, model) for batch in ready if (model := _model_here(batch, gauges, loaded)) is not None]
    shares = state.costs.shares({batch.created.owner for batch, _ in offered}, now.timestamp())
    return [_candidate(state, batch, model, gauges[model], shares[batch.created.owner]) for batch, model in offered]


def _model_here(batch: PendingBatch, gauges: Mapping[ModelId, ModelCost], loaded: ModelId | None) -> ModelId | None:
    """The model of the batch's next requests on a runner: the one that is loaded there, otherwise the first; None when
    none may be sent there."""
    if not batch.is_mixed:
        return batch.model if batch.model in gauges else None
    waiting = [model for model in batch.waiting_models() if model in gauges]
    return loaded if loaded in waiting else next(iter(waiting), None)


def _is_ready(batch: PendingBatch, now: datetime) -> bool:
    """Whether the batch has requests that may be sent now. Every batch is asked, so the usual answer is fast."""
    if batch.plan is None or batch.is_paused or not batch.waiting_count:
        return False
    return (batch.held_until is None or now >= batch.held_until) and stop_asked_at(batch, now) is None


def _candidate(state: State, batch: PendingBatch, model: ModelId, model_cost: ModelCost, share: float) -> Candidate:
    created, priority = batch.created, batch.steering.priority
    return Candidate(
        batch_id=created.batch_id,
        model=model,
        owner=created.owner,
        sequence=batch.sequence,
        work=_work(state, batch, model_cost),
        error=model_cost.error(batch.ledger.answered if batch.ledger and batch.has_run else 0),
        arrived=batch.arrived,
        due=batch.due,
        has_run=batch.has_run,
        weight=share * priority_weight(priority),
        priority=priority,
    )


def _work(state: State, batch: PendingBatch, model_cost: ModelCost) -> float:
    """The seconds that all its waiting requests take: a batch for several models ends with the last of them."""
    if not batch.is_mixed:
        return seconds_of(batch, model_cost, batch.waiting_count)
    return sum(
        seconds_of(batch, state.costs.model_cost(model), batch.waiting_for(model)) for model in batch.waiting_models()
    )


def model_cost_of(state: State, batch: PendingBatch) -> ModelCost | None:
    """The cost of the batch's requests; None while its model is not known."""
    return state.costs.model_cost(batch.model) if batch.model is not None else None


def seconds_of(batch: PendingBatch, model_cost: ModelCost, requests: int) -> float:
    """The seconds that this many of the batch's requests take."""
    ledger = batch.ledger
    if ledger is None or not batch.has_run:
        return model_cost.seconds(requests, batch.request_bytes)
    return model_cost.seconds(requests, batch.request_bytes, ledger.answered, units(ledger.answered, ledger.usage))


def backlog(state: State, runner: Runner) -> float:
    """Seconds until the runner has finished what it holds."""
    owed = ((state.batches.get(slice_.event.batch_id), slice_) for slice_ in state.slices_of(runner.runner_id))
    return sum(
        seconds_of(batch, state.costs.model_cost(slice_.event.model), len(slice_.lines))
        for batch, slice_ in owed
        if batch
    )


def held_until(state: State, runner: Runner, now: datetime) -> Mapping[BatchId, float]:
    """When the runner will have answered the last request it holds of each batch, in seconds since 1970. It runs
    requests in the order they were sent."""
    ends, at = dict[BatchId, float](), now.timestamp()
    for slice_ in state.slices_of(runner.runner_id):
        if batch := state.batches.get(slice_.event.batch_id):
            at += seconds_of(batch, state.costs.model_cost(slice_.event.model), len(slice_.lines))
            ends[batch.batch_id] = at
    return ends
