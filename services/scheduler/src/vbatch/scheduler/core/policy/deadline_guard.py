"""Which batches can still keep their deadlines, all of them together, and how little slack that leaves.

The batches are kept in order of their deadlines. Where the work due by a deadline, with a swap there and back for every
model that is not loaded, exceeds the time left, the longest batch is dropped (Moore 1968, Hodgson's rule). Without that
filter one batch that is late anyway would cost every other its deadline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from math import sqrt
from operator import attrgetter

from vbatch.contracts.ids import ModelId
from vbatch.scheduler.core.policy.policy import Candidate, View

MARGIN = 1.15
"""How much longer than estimated all the work may take: even a well-measured rate changes."""
ERRORS_COVERED = 1.0
"""The errors of estimates are independent between batches, so they add up as squares do."""
SWAPS_A_VISIT = 2.0
"""One swap to the model, and one back to the interrupted model."""

Length = tuple[float, int, Candidate]
"""The negated work, so that the longest batch sorts first; the index among the kept batches; the batch."""


@dataclass(frozen=True, slots=True)
class Slacks:
    """Batches in order of deadline; for each, the seconds that may pass before it or a batch ahead of it is late."""

    batches: Sequence[Candidate]
    seconds: Sequence[float]

    @property
    def least(self) -> float:
        return min(self.seconds, default=float("inf"))

    def tight(self) -> Sequence[Candidate]:
        """The batches up to the deadline with the least slack."""
        return self.batches[: self.seconds.index(self.least) + 1] if self.seconds else ()


def protected(view: View) -> list[Candidate]:
    """The batches whose deadlines can be kept, in order of deadline. A batch that would be late even alone is left out:
    it cannot be saved.

    The estimates are taken as exact here: a margin for their errors would drop batches that could have been kept.
    """
    swaps = _swaps(view)
    visits = {model: SWAPS_A_VISIT * swap for model, swap in swaps.items()}
    counts = dict.fromkeys(swaps, 0)
    kept, longest, demand, now = list[Candidate | None](), list[Length](), 0.0, view.now
    for candidate in by_due(view.candidates):
        model, work, left = candidate.model, candidate.work, candidate.due - now
        if work + swaps[model] > left:
            continue
        demand += work if counts[model] else work + visits[model]
        counts[model] += 1
        kept.append(candidate)
        if longest:
            heappush(longest, (-work, len(kept) - 1, candidate))
        while demand > left:
            longest = longest or _longest_first(kept)
            _, number, let_go = heappop(longest)
            kept[number] = None
            counts[let_go.model] -= 1
            demand -= let_go.work if counts[let_go.model] else let_go.work + visits[let_go.model]
    return [candidate for candidate in kept if candidate is not None]


def _longest_first(kept: Sequence[Candidate | None]) -> list[Length]:
    """A heap, built only when it is needed: usually everything fits."""
    lengths = [(-batch.work, number, batch) for number, batch in enumerate(kept) if batch is not None]
    heapify(lengths)
    return lengths


def by_due(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates in order of deadline; equal deadlines stay oldest first."""
    return sorted(candidates, key=attrgetter("due"))


def slacks(view: View, batches: Sequence[Candidate]) -> Slacks:
    """The slacks of batches in order of deadline; here the errors of the estimates have a margin."""
    swaps, models, now = _swaps(view), set[ModelId](), view.now
    demand, squares, seconds = 0.0, 0.0, list[float]()
    for batch in batches:
        work = batch.work
        if batch.model not in models:
            models.add(batch.model)
            demand += SWAPS_A_VISIT * swaps[batch.model]
        demand += work
        squares += (work * batch.error) ** 2
        seconds.append(batch.due - now - demand - ERRORS_COVERED * sqrt(squares))
    return Slacks(batches, seconds)


def may_come_first(view: View, known: Slacks) -> list[Candidate]:
    """The tight batches that could run before all others without making any of them late: the first, and each whose
    whole work fits into the slack of all before it (after Smith 1956, whose rule works from the back)."""
    swaps, seen, room, found = _swaps(view), set[ModelId](), float("inf"), list[Candidate]()
    for batch, slack in zip(known.tight(), known.seconds, strict=False):
        need = batch.work * (1.0 + ERRORS_COVERED * batch.error)
        if batch.model not in seen:
            seen.add(batch.model)
            need += SWAPS_A_VISIT * swaps[batch.model]
        if need <= room:
            found.append(batch)
        if slack < room:
            room = slack
    return found


def _swaps(view: View) -> dict[ModelId, float]:
    return {model: view.swap(model) for model in {candidate.model for candidate in view.candidates}}
