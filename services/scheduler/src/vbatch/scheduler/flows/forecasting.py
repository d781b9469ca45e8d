"""The forecast of the queue, kept for a moment, so that forecasts take only a small share of the scheduler's time,
however many callers ask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

import msgspec

from vbatch.contracts.forecast import Explanation, Forecast
from vbatch.contracts.ids import BatchId
from vbatch.scheduler.core.forecast.forecast import PriorityTried, explain, whole_forecast
from vbatch.scheduler.core.policy.policy import Policy
from vbatch.scheduler.core.state.state import State
from vbatch.scheduler.ports import Clock

BATCHES_MAX = 1_000
"""One forecast lists at most this many batches, those that end first."""
KEPT_SECONDS_MIN = 0.5
TIME_SHARE_MAX = 0.05
"""The share of the scheduler's time that forecasts may take: a long one is kept longer."""


@dataclass
class Forecasting:
    state: State
    policy: Policy
    clock: Clock
    is_caught_up: Callable[[], bool] = lambda: True
    timer: Callable[[], float] = perf_counter
    _kept: Forecast | None = None
    _kept_until: float = field(default=0.0)

    def forecast(self) -> Forecast:
        began = self.timer()
        if self._kept is None or began >= self._kept_until:
            self._kept = self._made()
            took = self.timer() - began
            self._kept_until = began + max(KEPT_SECONDS_MIN, took / TIME_SHARE_MAX)
        return self._kept

    def why(self, batch_id: BatchId) -> Explanation | None:
        """Why the batch has its place; None for a batch that is unknown or has ended."""
        return explain(self.state, self.policy, batch_id, self.clock())

    def if_priority(self, batch_id: BatchId, priority: int) -> Forecast | None:
        """The forecast if the batch had this priority; None for a batch that is unknown or has ended."""
        if batch_id not in self.state.batches:
            return None
        return _bounded(whole_forecast(self.state, self.policy, self.clock(), tried=PriorityTried(batch_id, priority)))

    def _made(self) -> Forecast:
        return _bounded(whole_forecast(self.state, self.policy, self.clock()))


def _bounded(whole: Forecast) -> Forecast:
    kept, more = whole.batches[:BATCHES_MAX], max(0, len(whole.batches) - BATCHES_MAX)
    return msgspec.structs.replace(whole, batches=kept, more=more)
