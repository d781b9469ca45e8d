"""Which batch a free runner serves next: the plain policy. Stay on the model while it has work, then the model of the
oldest batch; inside a model the oldest batch first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from vbatch.contracts.ids import BatchId, ModelId


@dataclass(frozen=True, slots=True)
class Candidate:
    """A batch with requests that could run now; `sequence` orders batches by age."""

    batch_id: BatchId
    model: ModelId
    sequence: int
    waiting_count: int


@dataclass(frozen=True, slots=True)
class Choice:
    batch_id: BatchId
    reason: str


class Policy(Protocol):
    """A pure function of what could run and what the runner holds."""

    def __call__(self, candidates: Sequence[Candidate], current_model: ModelId | None) -> Choice | None: ...


def stay_then_oldest(candidates: Sequence[Candidate], current_model: ModelId | None) -> Choice | None:
    if not candidates:
        return None
    loaded = [it for it in candidates if it.model == current_model]
    chosen = min(loaded or candidates, key=lambda it: it.sequence)
    return Choice(chosen.batch_id, _reason(chosen, current_model, others=len(candidates) - 1))


def _reason(chosen: Candidate, current_model: ModelId | None, *, others: int) -> str:
    beside = f"; {others} other batches wait" if others else ""
    if chosen.model == current_model:
        return f"its model is on the device{beside}"
    if current_model is None:
        return f"the oldest batch, and the device is empty{beside}"
    return f"the oldest batch, and nothing waits for {current_model}{beside}"
