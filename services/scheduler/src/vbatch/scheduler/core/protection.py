"""Which batches can still keep their deadlines, all of them together, and how little slack that leaves.

The batches are kept in order of their deadlines; where the work due by a deadline, with a swap there and back for
every model that is not loaded, is more than the time left, the longest is let go (Moore 1968, Hodgson's rule). Without
that filter one batch that is lost anyway would cost every other its deadline.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from operator import attrgetter, itemgetter

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
    margin = ERRORS_COVERED * it.error
    if margin < MARGIN_MIN:
        margin = MARGIN_MIN
    elif margin > MARGIN_MAX:
        margin = MARGIN_MAX
    return it.work * (1.0 + margin)


def protected(view: View) -> list[Candidate]:
    """In order of deadline. Batches that would be late even alone are not among them: nothing can be saved there."""
    kept = _Kept(view)
    now, swaps = view.now, kept.swaps
    for it in sorted(view.candidates, key=attrgetter("due")):
        left = it.due - now
        if it.work + swaps[it.model] <= left:
            kept.add(it)
            while kept.demand > left:
                kept.drop_longest()
    return kept.in_order()


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


class _Kept:
    """A set of batches with the time they need together; the longest is at hand."""

    def __init__(self, view: View) -> None:
        self.swaps = {model: view.swap(model) for model in {it.model for it in view.candidates}}
        self.demand = 0.0
        self._added = 0
        self._longest: list[tuple[float, int, Candidate]] = []
        self._counts = dict.fromkeys(self.swaps, 0)

    def add(self, it: Candidate) -> None:
        work = cautious_work(it)
        heappush(self._longest, (-work, self._added, it))
        self._added += 1
        if not self._counts[it.model]:
            work += SWAPS_A_VISIT * self.swaps[it.model]
        self._counts[it.model] += 1
        self.demand += work

    def drop_longest(self) -> None:
        negative_work, _, it = heappop(self._longest)
        self.demand += negative_work
        self._counts[it.model] -= 1
        if not self._counts[it.model]:
            self.demand -= SWAPS_A_VISIT * self.swaps[it.model]

    def in_order(self) -> list[Candidate]:
        """As they were added."""
        return [it for _, _, it in sorted(self._longest, key=itemgetter(1))]
