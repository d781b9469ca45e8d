"""The policy that keeps deadlines and spares swaps: density index with a protected set (docs/scheduling.md).

Three rules, the first that applies decides. *Guard*: when the slack of the batches that can keep their deadlines is
short, they come first. *First answer*: a batch not served before a quarter of its window is served. *Density*: the
model that finishes the most batches for the time, a swap counted as time; the loaded one is left early only when it
stayed long enough to pay for its loading and another is clearly better. Inside a model the shortest batch comes first,
so a small one never waits for a large one; age and the owner's share shift that.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from vbatch.contracts.ids import ModelId
from vbatch.scheduler.core import reasons
from vbatch.scheduler.core.policy import Candidate, Choice, View
from vbatch.scheduler.core.protection import cautious_work, protected, survive, tightest

Families = dict[ModelId, list[Candidate]]


@dataclass(frozen=True, slots=True)
class Tuning:
    """The policy's constants, and its parts, so that a study can leave one out."""

    guard_seconds: float = 300.0
    """The guard acts when less slack than this, and a swap, is left."""
    swap_share: float = 0.05
    """Of a residency, what loading may cost before density may end it."""
    ageing_seconds: float = 4 * 3600.0
    """A batch that waited so long counts twice."""
    leave_gain: float = 1.5
    """How much denser another model must be, both swaps counted, for the loaded one to be left with work."""
    first_answer_share: float = 0.25
    """Of its window, what a batch may wait for its first service."""
    has_guard: bool = True
    has_filter: bool = True
    has_density: bool = True
    has_first_answer: bool = True


@dataclass(frozen=True, slots=True)
class Dips:
    """A policy: a pure function of the view."""

    tuning: Tuning = field(default_factory=Tuning)

    def __call__(self, view: View) -> Choice | None:
        if not view.candidates:
            return None
        return self._guarded(view) or self._starved(view) or self._densest(view)

    def _guarded(self, view: View) -> Choice | None:
        """The batch to serve so that no deadline that can be kept is lost; None while there is time."""
        if not self.tuning.has_guard:
            return None
        kept = protected(view) if self.tuning.has_filter else sorted(view.candidates, key=lambda it: it.due)
        tight = tightest(view, kept)
        if tight is None or tight.slack > self.tuning.guard_seconds + view.cost(tight.batches[0].model):
            return None
        first = tight.batches[0]
        here = [it for it in tight.batches if it.model == view.loaded]
        elsewhere = [it for it in tight.batches if it.model != view.loaded]
        if here and survive(view, elsewhere, sum(map(cautious_work, here))):
            first = here[0]
        return Choice(first.batch_id, reasons.guarded(view, first, tight))

    def _starved(self, view: View) -> Choice | None:
        """Of the batches that waited too long for a first service the oldest, the loaded model's first."""
        if not self.tuning.has_first_answer:
            return None
        share = self.tuning.first_answer_share
        starved = [
            it for it in view.candidates if not it.has_run and view.now - it.arrived > share * (it.due - it.arrived)
        ]
        if not self._may_leave(view):
            starved = [it for it in starved if it.model == view.loaded]
        if not starved:
            return None
        first = min(starved, key=lambda it: (it.model != view.loaded, it.arrived, it.sequence))
        return Choice(first.batch_id, reasons.starved(view, first))

    def _densest(self, view: View) -> Choice:
        families = _families(view)
        here = families.pop(view.loaded, None) if view.loaded is not None else None
        if here is None:
            model = max(families, key=lambda it: self._density(view, families[it], view.swap(it)))
            first = self._shortest(view, families[model])
            return Choice(first.batch_id, reasons.came_next(view, first, families[model]))
        if better := self._better(view, here, families):
            first = self._shortest(view, better)
            return Choice(first.batch_id, reasons.left_for(view, first, better))
        first = self._shortest(view, here)
        return Choice(first.batch_id, reasons.stayed(view, first, here))

    def _may_leave(self, view: View) -> bool:
        """Whether the loaded model stayed long enough to have paid for its loading; true of an empty device."""
        if view.loaded is None or not any(it.model == view.loaded for it in view.candidates):
            return True
        share = self.tuning.swap_share
        return view.resident >= view.cost(view.loaded) * (1.0 - share) / share

    def _better(self, view: View, here: list[Candidate], families: Families) -> list[Candidate] | None:
        """The densest other model's batches, if it is time and worth the way there and back."""
        if not (self.tuning.has_density and families and self._may_leave(view)):
            return None
        back = view.cost(here[0].model)
        density, model = max(
            (self._density(view, batches, view.swap(it) + back), it) for it, batches in families.items()
        )
        wanted = self.tuning.leave_gain * self._density(view, here, 0.0)
        return families[model] if density > wanted else None

    def _density(self, view: View, batches: list[Candidate], setup: float) -> float:
        """The most weight a second that some of these batches bring, the shortest first, after a set-up (Duenyas and
        Van Oyen 1996)."""
        weight, seconds, best = 0.0, setup, 0.0
        for _, own_weight, work in sorted(self._ratios(view, batches)):
            weight += own_weight
            seconds += work
            if weight > best * seconds:
                best = weight / max(seconds, 1e-9)
        return best

    def _ratios(self, view: View, batches: list[Candidate]) -> list[tuple[float, float, float]]:
        """Work for the weight, the weight, the work."""
        a_second, now = 1.0 / self.tuning.ageing_seconds, view.now
        weighed = [(it.weight * (1.0 + max(0.0, now - it.arrived) * a_second), it.work) for it in batches]
        return [(work / weight, weight, work) for weight, work in weighed]

    def _shortest(self, view: View, batches: list[Candidate]) -> Candidate:
        ratios = self._ratios(view, batches)
        return batches[min(range(len(batches)), key=lambda index: (ratios[index][0], batches[index].sequence))]


def _families(view: View) -> Families:
    families: defaultdict[ModelId, list[Candidate]] = defaultdict(list)
    for it in view.candidates:
        families[it.model].append(it)
    return dict(families)
