"""Counts the interactive requests inside each engine, so that batch requests leave room for them."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from vbatch.contracts.ids import ModelId
from vbatch.gpu_runner.core.seats import ACTIVE_SECONDS, LaneLoad
from vbatch.gpu_runner.flows.change_signal import ChangeSignal

LANE_DEATHS_MAX = 2
"""How many deaths in a row may be attributed to interactive requests."""


@dataclass
class LaneTraffic:
    changed: ChangeSignal = field(default_factory=ChangeSignal)
    answered_count: int = 0
    """Pieces of answers so far: a sign of life of the engine."""
    _deaths: int = 0
    """Deaths in a row of engines that had interactive requests inside."""
    _inside: Counter[ModelId] = field(default_factory=Counter)
    _left_at: dict[ModelId, float] = field(default_factory=dict)

    @property
    def inside_count(self) -> int:
        return self._inside.total()

    def load(self, model: ModelId) -> LaneLoad:
        inside, left_at = self._inside[model], self._left_at.get(model)
        was_here = left_at is not None and _clock() - left_at < ACTIVE_SECONDS
        return LaneLoad(inside, is_active=inside > 0 or was_here)

    def may_have_killed(self, model: ModelId) -> bool:
        """Whether an interactive request may have killed the engine that has just died, so that no batch request is
        suspected for now.

        After a few such deaths in a row, all requests that were inside are suspected again: a deadly line of a batch
        must not hide behind clients that send requests all the time.
        """
        self._deaths = self._deaths + 1 if self.load(model).is_active else 0
        return 0 < self._deaths <= LANE_DEATHS_MAX

    def enter(self, model: ModelId) -> None:
        """Count one request as inside until it leaves."""
        self._inside[model] += 1

    def leave(self, model: ModelId) -> None:
        self._inside[model] -= 1
        self._left_at[model] = _clock()
        self.changed.fire()


def _clock() -> float:
    return asyncio.get_running_loop().time()
