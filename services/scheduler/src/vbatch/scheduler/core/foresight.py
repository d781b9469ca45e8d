"""When batches would start and end if nothing new arrived: the policy is asked ahead, choice after choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from msgspec import structs

from vbatch.contracts.ids import BatchId
from vbatch.scheduler.core.policy import Candidate, Policy, View

WEIGHED_MAX = 60_000
"""Candidates weighed over all choices, some 0.2 s: more would hold up the scheduler. The rest is not foretold."""
STAYS = 200
"""How many stays of a model the work is cut into, if there is so much that a slice would be finer."""
SLICE_SECONDS = 120.0
"""How long a foretold stay lasts, at least."""


@dataclass(slots=True)
class Course:
    """What is foretold of one batch, in seconds since 1970; `reason` is why it is chosen the first time."""

    starts: float
    work: float
    error: float
    reason: str = ""
    ends: float | None = None


def foresee(view: View, policy: Policy) -> Mapping[BatchId, Course]:
    """The batches whose start falls into what can be looked ahead, in order of start."""
    ahead = _Ahead(view, {it.batch_id: it for it in view.candidates})
    ahead.go(policy)
    return ahead.courses


@dataclass(slots=True)
class _Ahead:
    """A device that goes on by itself. A stay is chosen among all, its batches among those of its model."""

    view: View
    left: dict[BatchId, Candidate]
    courses: dict[BatchId, Course] = field(default_factory=dict)
    weighed: int = 0

    def go(self, policy: Policy) -> None:
        stays = min(STAYS, max(1, WEIGHED_MAX // (2 * max(1, len(self.left)))))
        seconds = max(SLICE_SECONDS, sum(it.work for it in self.left.values()) / stays)
        while first := self._choose(policy, list(self.left.values()), seconds):
            until = self.view.now + seconds - min(seconds, first.work)
            while self.view.now < until:
                family = [it for it in self.left.values() if it.model == first.model]
                if self._choose(policy, family, until - self.view.now) is None:
                    break

    def _choose(self, policy: Policy, candidates: Sequence[Candidate], seconds: float) -> Candidate | None:
        """Serve what the policy takes of these for so long at most."""
        self.weighed += len(candidates)
        if not candidates or self.weighed > WEIGHED_MAX:
            return None
        self.view = replace(self.view, candidates=candidates)
        choice = policy(self.view)
        if choice is None:
            return None
        chosen = self.left[choice.batch_id]
        self._serve(chosen, choice.reason, seconds)
        return chosen

    def _serve(self, it: Candidate, reason: str, seconds: float) -> None:
        swap = self.view.swap(it.model)
        starts, served = self.view.now + swap, min(it.work, seconds)
        course = self.courses.setdefault(it.batch_id, Course(starts, it.work, it.error, reason))
        if served < it.work:
            self.left[it.batch_id] = structs.replace(it, work=it.work - served, has_run=True)
        else:
            del self.left[it.batch_id]
            course.ends = starts + served
        resident = served if it.model != self.view.loaded else self.view.resident + served
        self.view = replace(self.view, now=starts + served, loaded=it.model, resident=resident)
