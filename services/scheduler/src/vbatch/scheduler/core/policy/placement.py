"""Which batches remain for one device while other devices hold their models: a load that ends no batch sooner is not
worth its time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

from vbatch.contracts.ids import BatchId, ModelId
from vbatch.scheduler.core.policy.policy import Candidate, View


@dataclass(frozen=True, slots=True)
class Holder:
    """Another device: the model it holds, and when it finishes its assigned work, in seconds since 1970."""

    model: ModelId
    free_at: float


Piece = Callable[[Candidate], float]
"""How many seconds of a batch this device would take at once: a slice, or all of a shorter batch."""


def sooner_here(view: View, holders: Sequence[Holder], piece: Piece) -> View:
    """The view without the batches that end where their model is held before their next piece could end here. One piece
    of a long batch ends sooner, so the batch stays offered to both devices and is spread over them."""
    free_at = defaultdict[ModelId, list[float]](list)
    for holder in holders:
        if holder.model != view.loaded:
            free_at[holder.model].append(holder.free_at)
    spared = {batch_id for model, times in free_at.items() for batch_id in _sooner_there(view, model, times, piece)}
    return (
        replace(view, candidates=[candidate for candidate in view.candidates if candidate.batch_id not in spared])
        if spared
        else view
    )


def _sooner_there(view: View, model: ModelId, free_at: Sequence[float], piece: Piece) -> Iterator[BatchId]:
    """The batches that end sooner at the holders, if these did all waiting work for the model, shortest first."""
    begins, busy_until = view.now + view.cost(model), sum(free_at)
    for candidate in sorted(
        (candidate for candidate in view.candidates if candidate.model == model), key=attrgetter("work", "sequence")
    ):
        busy_until += candidate.work
        if busy_until / len(free_at) <= begins + piece(candidate):
            yield candidate.batch_id
