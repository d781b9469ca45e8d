"""What clients wait for, as the gateways report it: kept for a moment, never in the log, and reported again after a
restart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from vbatch.contracts.durations import rough_duration
from vbatch.contracts.ids import ModelId
from vbatch.contracts.lane import DEMAND_SECONDS, DemandAnswer
from vbatch.scheduler.core.demand import (
    DemandRules,
    Demands,
    Waiting,
    failure_of,
    free_in_seconds,
    is_coming,
    is_loaded,
)
from vbatch.scheduler.core.state.state import State
from vbatch.scheduler.ports import Clock

MODELS_MAX = 256
"""How many models clients may wait for at once."""
RETRY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _Asked:
    since: datetime
    until: datetime


@dataclass
class Demanding:
    """`wake` makes the scheduler decide immediately."""

    state: State
    clock: Clock
    rules: DemandRules
    wake: Callable[[], None] = lambda: None
    _asked: dict[ModelId, _Asked] = field(default_factory=dict)

    def ask(self, model: ModelId) -> DemandAnswer:
        """Note that a client waits for this model. A gateway whose client still waits asks again within
        DEMAND_SECONDS."""
        if model not in self.state.models:
            return DemandAnswer(message="It is not in the registry.", retry_after_seconds=0.0, is_hopeless=True)
        now = self.clock()
        self._forget_old(now)
        if model not in self._asked and len(self._asked) < MODELS_MAX:
            self._asked[model] = _Asked(now, now)
            self.wake()
        if model in self._asked:
            self._asked[model] = replace(self._asked[model], until=now + timedelta(seconds=DEMAND_SECONDS))
        return self._answer(model, now)

    def current(self) -> Demands:
        self._forget_old(self.clock())
        return Demands({model: Waiting(asked.since) for model, asked in self._asked.items()}, self.rules)

    def _forget_old(self, now: datetime) -> None:
        """Drop old demands and those whose model is loaded: a client that came too late for it asks again."""
        self._asked = {
            model: asked
            for model, asked in self._asked.items()
            if not is_loaded(self.state, model) and (now < asked.until or asked.since == now)
        }

    def _answer(self, model: ModelId, now: datetime) -> DemandAnswer:
        if not self.state.runners:
            return DemandAnswer(message="No gpu-runner is running.", retry_after_seconds=RETRY_SECONDS)
        if not self.state.available_runners():
            return DemandAnswer(message="Every gpu-runner is drained.", retry_after_seconds=RETRY_SECONDS)
        if failure := failure_of(self.state, model):
            message = f"It did not load: {failure}"
            return DemandAnswer(message=message, retry_after_seconds=RETRY_SECONDS, is_hopeless=True)
        swap = self.state.costs.swap_seconds.get(model, self.state.costs.swap_default)
        if is_coming(self.state, model, now):
            return DemandAnswer(message="It is being loaded.", retry_after_seconds=swap)
        rest = free_in_seconds(self.state, model, self.rules, now)
        if rest is None or rest <= 0.0:
            return DemandAnswer(message="It is loaded next.", retry_after_seconds=swap)
        words = f"It may be loaded in {rough_duration(rest)}: the device is kept for other work until then."
        return DemandAnswer(message=words, retry_after_seconds=rest + swap, earliest_seconds=rest)
