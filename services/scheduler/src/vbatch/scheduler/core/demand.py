"""Which model a runner loads because clients wait for its answers, or because it is pinned.

A demand is not an event: it lasts only while a client waits. The load that follows from it is an event. Batches keep
most of the device: a runner with batch work is interrupted no more often than once in `swap_seconds_min`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from vbatch.contracts import events as e
from vbatch.contracts.durations import rough_duration
from vbatch.contracts.ids import ModelId
from vbatch.scheduler.core.state.load_failures import may_send
from vbatch.scheduler.core.state.runner import Runner
from vbatch.scheduler.core.state.state import State

UNSETTLED_SECONDS_MAX = 900.0
"""A load that was ordered but never reported on no longer blocks anything after this time."""
PINNED_REASON = "it is pinned, and the device is free"
PIN_RETRY = timedelta(minutes=5)
"""How long after the last load for clients a pinned model returns to an idle runner. Until then, the clients may ask
again."""


@dataclass(frozen=True, slots=True)
class DemandRules:
    swap_seconds_min: float = 300.0
    """The time between two loads for clients on a runner while batches wait."""
    stay_seconds: float = 30.0
    """The minimum time for which a model that was loaded for clients stays."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A model that clients wait for, and since when."""

    since: datetime


@dataclass(frozen=True, slots=True)
class Demands:
    """What clients wait for now, by model."""

    waiting: Mapping[ModelId, Waiting] = field(default_factory=dict)
    rules: DemandRules = field(default_factory=DemandRules)


NO_DEMANDS = Demands()


def due_load(state: State, demands: Demands, now: datetime) -> e.ModelDemanded | None:
    """The next load for clients that is due; otherwise the load of a pinned model on a runner without work; None if
    neither is due."""
    oldest_first = sorted(demands.waiting.items(), key=lambda entry: entry[1].since)
    for model, waiting in oldest_first:
        if is_coming(state, model, now) or model not in state.models:
            continue
        if (runner := _runner_for(state, model, demands.rules, now)) is not None:
            return _demanded(runner, model, _reason(runner, waiting, now), demands.rules, now)
    return _due_pin(state, now)


def is_loaded(state: State, model: ModelId) -> bool:
    return any(_holds(runner, model) for runner in state.available_runners())


def is_coming(state: State, model: ModelId, now: datetime) -> bool:
    """Whether some runner has the model or is loading it."""
    return is_loaded(state, model) or any(_is_loading(runner, now, model) for runner in state.available_runners())


def free_in_seconds(state: State, model: ModelId, rules: DemandRules, now: datetime) -> float | None:
    """The seconds until the model may be loaded on some runner; None if no runner can load it."""
    able = [runner for runner in state.available_runners() if may_send(state, runner.runner_id, model, now)]
    return min((_rest_seconds(state, runner, model, rules, now) for runner in able), default=None)


def failure_of(state: State, model: ModelId) -> str:
    """Why the model did not load on any runner; empty if it did load or was not tried."""
    troubles = [state.troubles.get((runner.runner_id, model)) for runner in state.available_runners()]
    known = [trouble for trouble in troubles if trouble is not None]
    return known[-1].detail if known and len(known) == len(troubles) else ""


def clients_words(state: State, now: datetime) -> str:
    """What the devices do for clients before batches continue, as the end of a sentence; empty when they do nothing for
    clients."""
    words = [found for runner in state.available_runners() if (found := _words(runner, now))]
    return f"; {' and '.join(words)}" if words else ""


def _words(runner: Runner, now: datetime) -> str:
    demand = runner.demand
    if demand is None:
        return ""
    if not demand.is_settled:
        return f"clients wait for {demand.model}, which {runner.runner_id} loads first"
    if runner.model != demand.model or runner.resident_since is None:
        return ""
    left = demand.stay_seconds - (now - runner.resident_since).total_seconds()
    stays = f"clients use {demand.model}, which stays on {runner.runner_id} for {rough_duration(left)}"
    return stays if left > 0 else ""


def _holds(runner: Runner, model: ModelId) -> bool:
    return runner.model == model and not runner.is_down


def _is_loading(runner: Runner, now: datetime, model: ModelId | None = None) -> bool:
    """Whether the runner is loading a model for clients: any model, or only the given one."""
    demand = runner.demand
    if demand is None or demand.is_settled or (model is not None and demand.model != model):
        return False
    return (now - demand.at).total_seconds() < UNSETTLED_SECONDS_MAX


def _runner_for(state: State, model: ModelId, rules: DemandRules, now: datetime) -> Runner | None:
    """The runner that loses least by loading the model: an empty one, then an idle one, then the one that holds
    least."""
    able = [
        runner
        for runner in state.available_runners()
        if may_send(state, runner.runner_id, model, now)
        and not _is_loading(runner, now)
        and _rest_seconds(state, runner, model, rules, now) <= 0.0
    ]
    return min(
        able,
        key=lambda runner: (
            len(state.slices_of(runner.runner_id)),
            runner.model in state.models and state.models[runner.model].pinned,
            runner.model is not None,
            runner.runner_id,
        ),
        default=None,
    )


def _rest_seconds(state: State, runner: Runner, model: ModelId, rules: DemandRules, now: datetime) -> float:
    """How long the runner must not be interrupted for this model again. When no batch of another model is in the way,
    the previous model serves for as long as its load took."""
    demand = runner.demand
    if demand is None:
        return 0.0
    passed = (now - demand.at).total_seconds()
    if has_batch_work(state, runner, model):
        return rules.swap_seconds_min - passed
    if runner.resident_since is None:
        return 0.0
    served = (now - runner.resident_since).total_seconds()
    return min(rules.stay_seconds, state.costs.swap_seconds.get(demand.model, 0.0)) - served


def has_batch_work(state: State, runner: Runner, besides: ModelId | None = None) -> bool:
    """Whether the runner has batch work, or could get some, that is not for this model."""
    if any(slice_.event.model != besides for slice_ in state.slices_of(runner.runner_id)):
        return True
    waiting = (batch for batch in state.batches.values() if batch.waiting_count and not state.pause_of(batch))
    return any(batch.waiting_models() != [besides] for batch in waiting)


def _due_pin(state: State, now: datetime) -> e.ModelDemanded | None:
    """The load of a pinned model on a runner that has nothing to do and holds no pinned model."""
    pinned = [model for model, definition in state.models.items() if definition.pinned]
    for runner in state.available_runners() if pinned else ():
        if (runner.model in pinned and not runner.is_down) or has_batch_work(state, runner):
            continue
        if runner.demand is not None and now < runner.demand.at + PIN_RETRY:
            continue
        for model in pinned:
            if not is_coming(state, model, now) and may_send(state, runner.runner_id, model, now):
                return _demanded(runner, model, PINNED_REASON, DemandRules(stay_seconds=0.0), now)
    return None


def _reason(runner: Runner, waiting: Waiting, now: datetime) -> str:
    waited = rough_duration((now - waiting.since).total_seconds())
    if runner.model is None or runner.is_down:
        return f"clients have waited {waited} for its answers, and the device is empty"
    return f"clients have waited {waited} for its answers; {runner.model} gives way at the end of its slice"


def _demanded(runner: Runner, model: ModelId, reason: str, rules: DemandRules, now: datetime) -> e.ModelDemanded:
    return e.ModelDemanded(
        runner_id=runner.runner_id,
        epoch=runner.epoch,
        model=model,
        reason=reason,
        stay_seconds=rules.stay_seconds,
        at=now,
    )
