"""What is left for one device where others hold the models: no load is worth its while that ends nothing sooner."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

from vbatch.contracts.ids import BatchId, ModelId
from vbatch.scheduler.core.policy.policy import Candidate, View


@dataclass(frozen=True, slots=True)
class Holder:
    """Another device: the model it holds, and when it has done what it was given, in seconds since 1970."""

    model: ModelId
    free_at: float


Piece = Callable[[Candidate], float]
"""How many seconds of a batch this device would take at once: a slice, or all of a shorter batch."""


def sooner_here(view: View, holders: Sequence[Holder], piece: Piece) -> View:
    """The view without the batches that end where their model is held before their next piece could end here. Of a long
    batch a piece ends sooner, so it is offered to both and spread."""
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
    """As if the holders did all that waits for the model, the shortest first."""
    begins, busy_until = view.now + view.cost(model), sum(free_at)
    for candidate in sorted(
        (candidate for candidate in view.candidates if candidate.model == model), key=attrgetter("work", "sequence")
    ):
        busy_until += candidate.work
        if busy_until / len(free_at) <= begins + piece(candidate):
            yield candidate.batch_id
