"""Which batch a free device serves next: what a policy receives and what it returns.

Includes the baseline policy: stay on the model while it has work, then serve the model of the oldest batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from math import exp2
from typing import Protocol

import msgspec

from vbatch.contracts.ids import BatchId, ModelId, OwnerId
from vbatch.contracts.lifecycle import PRIORITY_MAX, PRIORITY_MIN

PRIORITY_DOUBLES = 10.0
"""Each step of this size in priority doubles the weight: the highest weighs about a thousand times the default."""


@cache
def priority_weight(priority: int) -> float:
    """Two to the power of priority / PRIORITY_DOUBLES."""
    return exp2(min(PRIORITY_MAX, max(PRIORITY_MIN, priority)) / PRIORITY_DOUBLES)


class Candidate(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A batch with requests that could run now. Times are seconds since 1970, work is seconds on the device.

    `sequence` orders batches by age. `error` is the relative error of the work. `weight` is the value of serving it:
    its owner's share (1 for a fair one, more for an owner who was served less) times the factor of `priority`. A batch
    is late after `due`.
    """

    batch_id: BatchId
    model: ModelId
    owner: OwnerId
    sequence: int
    work: float
    error: float
    arrived: float
    due: float
    has_run: bool
    weight: float = 1.0
    priority: int = 0


@dataclass(frozen=True, slots=True)
class View:
    """What could run on one device at `now`, the moment its next free place is filled.

    `loaded` is the model of its last work, `resident` for how many seconds. `swap_seconds` is the cost of bringing a
    model onto the device; a model that it does not name costs `swap_default`.
    """

    now: float
    candidates: Sequence[Candidate]
    loaded: ModelId | None = None
    resident: float = 0.0
    swap_seconds: Mapping[ModelId, float] = field(default_factory=dict)
    swap_default: float = 30.0

    def swap(self, model: ModelId) -> float:
        """The seconds it costs to serve this model next."""
        return 0.0 if model == self.loaded else self.cost(model)

    def cost(self, model: ModelId) -> float:
        """The seconds it costs to replace another model on the device by this one."""
        return self.swap_seconds.get(model, self.swap_default)


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen batch. `is_brief` asks only for first answers: the shortest possible slice."""

    batch_id: BatchId
    reason: str
    is_brief: bool = False


class Policy(Protocol):
    """A pure function of what could run, what the device holds and the time."""

    def __call__(self, view: View) -> Choice | None: ...


def stay_then_oldest(view: View) -> Choice | None:
    """The baseline: the oldest batch of the loaded model, otherwise the oldest batch; None without candidates."""
    if not view.candidates:
        return None
    loaded = [candidate for candidate in view.candidates if candidate.model == view.loaded]
    chosen = min(loaded or view.candidates, key=lambda candidate: candidate.sequence)
    return Choice(chosen.batch_id, _reason(chosen, view.loaded, others=len(view.candidates) - 1))


def _reason(chosen: Candidate, loaded: ModelId | None, *, others: int) -> str:
    beside = f"; {others} other {'batch waits' if others == 1 else 'batches wait'}" if others else ""
    if chosen.model == loaded:
        return f"its model is on the device{beside}"
    if loaded is None:
        return f"the oldest batch, and the device is empty{beside}"
    return f"the oldest batch, and no batch waits for {loaded}{beside}"
