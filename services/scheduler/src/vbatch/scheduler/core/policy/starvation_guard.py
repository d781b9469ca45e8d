"""The promise that no batch waits longer than a quarter of its window for its first answers while the device works for
one that came later. It is kept some minutes ahead, with the shortest possible slice."""

from __future__ import annotations

from operator import attrgetter

from vbatch.contracts.ids import ModelId
from vbatch.scheduler.core.policy.policy import Candidate, View

WINDOW_SHARE = 0.25
VISIT_SECONDS = 30.0
"""The time that first answers take, without the swap."""
SOON_SECONDS = 300.0
"""The slack below which the promise takes effect."""
AHEAD_SECONDS = 7200.0
"""Promises due later than this are not urgent: all models can be loaded within this time."""

Owed = tuple[float, int, Candidate]
"""The time by which first answers are promised, the batch's index among the oldest, and the batch."""


def promised(candidate: Candidate) -> float:
    """The time by which the batch must have its first answers, in seconds since 1970."""
    return candidate.arrived + WINDOW_SHARE * (candidate.due - candidate.arrived)


def starving_batch(view: View, chosen: Candidate) -> Candidate | None:
    """The batch, older than the chosen one, that must have its first answers first; None if there is none."""
    ahead, arrived = view.now + AHEAD_SECONDS, chosen.arrived
    unserved = [candidate for candidate in view.candidates if not candidate.has_run and candidate.arrived < arrived]
    owed = [(promise, number, batch) for number, batch in enumerate(unserved) if (promise := promised(batch)) < ahead]
    pressing = _pressing(view, sorted(owed))
    if not pressing:
        return None
    soon = view.now + VISIT_SECONDS
    if late := [batch for promise, _, batch in pressing if promise < soon]:
        return min(late, key=attrgetter("arrived", "sequence"))  # otherwise the younger of two might go first
    return next((batch for _, _, batch in pressing if batch.model == view.loaded), pressing[0][2])


def _pressing(view: View, owed: list[Owed]) -> list[Owed]:
    """The batches up to the last promise that is kept only if the visits begin soon."""
    visits, models, length, soon = 0.0, set[ModelId](), 0, view.now + SOON_SECONDS
    for number, (promise, _, batch) in enumerate(owed, 1):
        visits += min(batch.work, VISIT_SECONDS)
        if batch.model not in models:
            models.add(batch.model)
            visits += view.swap(batch.model)
        if promise - visits < soon:
            length = number
    return owed[:length]
