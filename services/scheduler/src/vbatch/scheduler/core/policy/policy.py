"""Which batch a free device serves next: what a policy is told, what it answers, and the plain policy (stay on the
model while it has work, then the oldest batch's model), which stays as a baseline."""

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
"""So much more of priority weighs twice as much: the highest some thousand times the common one."""


@cache
def priority_weight(priority: int) -> float:
    return exp2(min(PRIORITY_MAX, max(PRIORITY_MIN, priority)) / PRIORITY_DOUBLES)


class Candidate(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A batch with requests that could run now. Times are seconds since 1970, work is seconds on the device.

    `sequence` orders batches by age. `error` is how far the work may be off, as a share of it. `weight` is what serving
    it is worth: its owner's share (1 for a fair one, more for one who was served less) times what `priority` makes of
    it. A batch is late after `due`.
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

    `loaded` is the model its last work was for, `resident` for how many seconds. `swap_seconds` says what it costs to
    bring a model onto the device; one that is not named costs `swap_default`.
    """

    now: float
    candidates: Sequence[Candidate]
    loaded: ModelId | None = None
    resident: float = 0.0
    swap_seconds: Mapping[ModelId, float] = field(default_factory=dict)
    swap_default: float = 30.0

    def swap(self, model: ModelId) -> float:
        """What it costs to serve this model next."""
        return 0.0 if model == self.loaded else self.cost(model)

    def cost(self, model: ModelId) -> float:
        """What it costs to bring this model onto the device from another."""
        return self.swap_seconds.get(model, self.swap_default)


@dataclass(frozen=True, slots=True)
class Choice:
    """`is_brief` asks for no more than first answers: the shortest slice there is."""

    batch_id: BatchId
    reason: str
    is_brief: bool = False


class Policy(Protocol):
    """A pure function of what could run, what the device holds and the time."""

    def __call__(self, view: View) -> Choice | None: ...


def stay_then_oldest(view: View) -> Choice | None:
    if not view.candidates:
        return None
    loaded = [candidate for candidate in view.candidates if candidate.model == view.loaded]
    chosen = min(loaded or view.candidates, key=lambda candidate: candidate.sequence)
    return Choice(chosen.batch_id, _reason(chosen, view.loaded, others=len(view.candidates) - 1))


def _reason(chosen: Candidate, loaded: ModelId | None, *, others: int) -> str:
    beside = f"; {others} other batches wait" if others else ""
    if chosen.model == loaded:
        return f"its model is on the device{beside}"
    if loaded is None:
        return f"the oldest batch, and the device is empty{beside}"
    return f"the oldest batch, and nothing waits for {loaded}{beside}"
