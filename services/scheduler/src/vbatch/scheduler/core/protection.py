"""Which batches can still keep their deadlines, all of them together, and how little slack that leaves.

The batches are kept in order of their deadlines; where the work due by a deadline, with a swap there and back for
every model that is not loaded, is more than the time left, the longest is let go (Moore 1968, Hodgson's rule). Without
that filter one batch that is lost anyway would cost every other its deadline.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from operator import attrgetter

from vbatch.contracts.ids import ModelId
from vbatch.scheduler.core.policy import Candidate, View

MARGIN_MIN, MARGIN_MAX = 0.05, 1.0
"""How much longer than estimated a protected batch may take: twice its error, within these bounds."""
ERRORS_COVERED = 2.0
SWAPS_A_VISIT = 2.0
"""There, and back to what was interrupted."""


@dataclass(frozen=True, slots=True)
class Tight:
    """The protected batches up to the deadline with the least slack, in order of deadline."""

    slack: float
    batches: tuple[Candidate, ...]


def cautious_work(it: Candidate) -> float:
    """The work with its margin."""
    return it.work * (1.0 + min(MARGIN_MAX, max(MARGIN_MIN, ERRORS_COVERED * it.error)))


def protected(view: View) -> list[Candidate]:
    """In order of deadline. Batches that would be late even alone are not among them: nothing can be saved there."""
    kept = _Kept(view)
    for it in sorted(view.candidates, key=attrgetter("due")):
        left = it.due - view.now
        if it.work + view.swap(it.model) <= left:
            kept.add(it)
            while kept.demand > left:
                kept.drop_longest()
    return list(kept)


def tightest(view: View, batches: list[Candidate]) -> Tight | None:
    """Where the least slack is among batches in order of deadline."""
    demand, models, least, length = 0.0, set[ModelId](), float("inf"), 0
    for number, it in enumerate(batches, 1):
        demand += cautious_work(it)
        if it.model not in models:
            models.add(it.model)
            demand += SWAPS_A_VISIT * view.swap(it.model)
        slack = it.due - view.now - demand
        if slack < least:
            least, length = slack, number
    return Tight(least, tuple(batches[:length])) if length else None


def survive(view: View, others: list[Candidate], delay: float) -> bool:
    """Whether these batches, in order of deadline, keep their deadlines when they start so much later."""
    tight = tightest(view, others)
    return tight is None or tight.slack >= delay


@dataclass(slots=True)
class _Kept:
    """A set of batches with the time they need together."""

    view: View
    demand: float = 0.0
    _batches: list[Candidate | None] = field(default_factory=list)
    _longest: list[tuple[float, int]] = field(default_factory=list)
    _by_model: dict[ModelId, int] = field(default_factory=dict)

    def add(self, it: Candidate) -> None:
        work = cautious_work(it)
        heappush(self._longest, (-work, len(self._batches)))
        self._batches.append(it)
        self.demand += work
        count = self._by_model.get(it.model, 0)
        self._by_model[it.model] = count + 1
        if not count:
            self.demand += SWAPS_A_VISIT * self.view.swap(it.model)

    def drop_longest(self) -> None:
        negative_work, index = heappop(self._longest)
        it = self._batches[index]
        if it is None:
            raise RuntimeError("a batch was dropped twice")
        self._batches[index] = None
        self.demand += negative_work
        self._by_model[it.model] -= 1
        if not self._by_model[it.model]:
            self.demand -= SWAPS_A_VISIT * self.view.swap(it.model)

    def __iter__(self) -> Iterator[Candidate]:
        return (it for it in self._batches if it is not None)
