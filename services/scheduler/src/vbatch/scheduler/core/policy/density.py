"""The policy that keeps deadlines and saves swaps: density index with a protected set (docs/scheduling.md).

*Guard*: when the batches that can keep their deadlines have little slack, they come first. *Density*: otherwise the
policy chooses the model that finishes the most batches for the time, a swap counted as time. It leaves the loaded model
early only when that model has stayed long enough to pay for its loading and another is clearly better. *First answers*:
a batch that was not served within a quarter of its window goes before any that came later. Within a model the shortest
batch comes first, so a small one never waits for a large one; age and the owner's share shift that order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from heapq import heapify, heappop
from operator import attrgetter

from vbatch.contracts.ids import ModelId
from vbatch.scheduler.core.policy import reasons
from vbatch.scheduler.core.policy.deadline_guard import by_due, may_come_first, protected, slacks
from vbatch.scheduler.core.policy.policy import Candidate, Choice, View
from vbatch.scheduler.core.policy.starvation_guard import starving_batch

Families = dict[ModelId, list[Candidate]]
Chosen = tuple[Candidate, str]
"""A batch, and why it was chosen."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """The policy's constants and switches for its parts, so that a study can leave one out."""

    guard_seconds: float = 300.0
    """The guard acts when less slack than this plus a swap is left."""
    stay_crowd: float = 4.0
    """A model stays one swap time longer for each group of this many waiting batches, because its loading delayed all
    of them."""
    stay_swaps_max: float = 3.0
    """The upper bound of that stay, in swap times."""
    ageing_seconds: float = 4 * 3600.0
    """A batch that has waited this long counts twice."""
    leave_gain: float = 2.0
    """How many times denser another model must be, swaps included, for a loaded model with work to be left."""
    has_guard: bool = True
    has_shortest_in_guard: bool = True
    has_filter: bool = True
    has_density: bool = True
    has_first_answer: bool = True


@dataclass(frozen=True, slots=True)
class DensityPolicy:
    """A policy: a pure function of the view."""

    tuning: Tuning = field(default_factory=Tuning)

    def __call__(self, view: View) -> Choice | None:
        if not view.candidates:
            return None
        view = _oldest_first(view)
        batch, reason = self._guarded(view) or self._densest(view)
        if self.tuning.has_first_answer and (other := starving_batch(view, batch)):
            return Choice(other.batch_id, reasons.starved(view, other), is_brief=True)
        return Choice(batch.batch_id, reason)

    def _guarded(self, view: View) -> Chosen | None:
        """The batch to serve now so that no deadline that can be kept is missed; None while there is time."""
        if not self.tuning.has_guard:
            return None
        kept = protected(view) if self.tuning.has_filter else by_due(view.candidates)
        known = slacks(view, kept)
        tight = known.tight()
        if not tight or known.least > self.tuning.guard_seconds + view.cost(tight[0].model):
            return None
        able = may_come_first(view, known) if self.tuning.has_shortest_in_guard else tight[:1]
        first = self._shortest(view, able)
        return first, reasons.guarded(view, first, tight)

    def _densest(self, view: View) -> Chosen:
        families = _families(view)
        here = families.pop(view.loaded, None) if view.loaded is not None else None
        if here is None:
            model = max(families, key=lambda family: (self._density(view, families[family], view.swap(family)), family))
            first = self._shortest(view, families[model])
            return first, reasons.came_next(view, first, families[model])
        if better := self._better(view, here, families):
            first = self._shortest(view, better)
            return first, reasons.left_for(view, first, better)
        first = self._shortest(view, here)
        return first, reasons.stayed(view, first, here)

    def _may_leave(self, view: View) -> bool:
        """Whether the loaded model has stayed long enough to pay for its loading."""
        stay = min(self.tuning.stay_swaps_max, len(view.candidates) / self.tuning.stay_crowd)
        return view.loaded is None or view.resident >= stay * view.cost(view.loaded)

    def _better(self, view: View, here: list[Candidate], families: Families) -> list[Candidate] | None:
        """The batches of the densest other model, if it is time and the swaps there and back are worth it."""
        if not (self.tuning.has_density and families and self._may_leave(view)):
            return None
        back = view.cost(here[0].model)
        density, model = max(
            (self._density(view, batches, view.swap(model) + back), model) for model, batches in families.items()
        )
        wanted = self.tuning.leave_gain * self._density(view, here, 0.0)
        return families[model] if density > wanted else None

    def _density(self, view: View, batches: list[Candidate], setup: float) -> float:
        """The highest weight per second that some of these batches bring, taken shortest first, after a set-up (Duenyas
        and Van Oyen 1996)."""
        weight, seconds, best = 0.0, setup, 0.0
        waiting = self._ratios(view, batches)
        heapify(waiting)
        while waiting:
            _, own_weight, work = heappop(waiting)
            weight += own_weight
            seconds += work
            if weight <= best * seconds:
                break  # the batches behind it bring even less for their work
            best = weight / max(seconds, 1e-9)
        return best

    def _ratios(self, view: View, batches: Sequence[Candidate]) -> list[tuple[float, float, float]]:
        """For each batch: its work divided by its weight, its weight, its work."""
        a_second, now = 1.0 / self.tuning.ageing_seconds, view.now
        return [
            (
                batch.work / (weight := batch.weight * (1.0 + max(0.0, now - batch.arrived) * a_second)),
                weight,
                batch.work,
            )
            for batch in batches
        ]

    def _shortest(self, view: View, batches: Sequence[Candidate]) -> Candidate:
        """The batch with the least work for its weight; a swap counts as work."""
        swaps = {model: view.swap(model) for model in {batch.model for batch in batches}}
        costs = [
            ratio + swaps[batch.model] / weight
            for (ratio, weight, _), batch in zip(self._ratios(view, batches), batches, strict=True)
        ]
        return batches[costs.index(min(costs))]


def _oldest_first(view: View) -> View:
    """Sort the candidates so that the older of two equal batches comes first; every later sort keeps this order."""
    return replace(view, candidates=sorted(view.candidates, key=attrgetter("sequence")))


def _families(view: View) -> Families:
    families: defaultdict[ModelId, list[Candidate]] = defaultdict(list)
    for candidate in view.candidates:
        families[candidate.model].append(candidate)
    return dict(families)
