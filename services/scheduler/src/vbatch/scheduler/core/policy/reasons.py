"""Why a batch was chosen, in one sentence for a reader who waits for another batch."""

from __future__ import annotations

from collections.abc import Sequence

from vbatch.contracts.durations import rough_duration
from vbatch.scheduler.core.policy.policy import Candidate, View

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def guarded(view: View, first: Candidate, tight: Sequence[Candidate]) -> str:
    left, work = rough_duration(first.due - view.now), rough_duration(first.work)
    if len(tight) == 1:
        return f"it must end within {left} and needs about {work}: it would be late if it waited longer{_beside(view)}"
    many = f"{len(tight)} batches can all keep their deadlines only if they start now"
    return f"{many}; this one must end within {left} and needs about {work}"


def starved(view: View, first: Candidate) -> str:
    waited = rough_duration(view.now - first.arrived)
    return f"it has waited {waited} for its first answers, close to a quarter of its window{_beside(view)}"


def came_next(view: View, first: Candidate, family: list[Candidate]) -> str:
    why = "the device is empty" if view.loaded is None else f"no batch waits for {view.loaded}"
    if len(family) == len(view.candidates):
        return f"{why}; {_place(first, family)}"
    gain = f"{first.model} finishes the most batches for its time"
    return f"{why}, and {gain}; {_place(first, family)}{_beside(view, family)}"


def left_for(view: View, first: Candidate, family: list[Candidate]) -> str:
    both_ways = rough_duration(view.swap(first.model) + (view.cost(view.loaded) if view.loaded else 0.0))
    gain = f"{_count(family)} for {first.model} can end soon, which is worth leaving {view.loaded}"
    return f"{gain} despite {both_ways} of swapping; {_place(first, family)}"


def stayed(view: View, first: Candidate, family: list[Candidate]) -> str:
    return f"its model is on the device; {_place(first, family)}{_beside(view, family)}"


def _place(first: Candidate, family: list[Candidate]) -> str:
    work = f"about {rough_duration(first.work)} of work left"
    if len(family) == 1:
        return f"it is the only batch for its model, with {work}"
    if first.work <= min(candidate.work for candidate in family):
        return f"it is the shortest of {len(family)} batches for its model, with {work}"
    if first.priority > min(candidate.priority for candidate in family):
        return f"its priority {first.priority} puts it first of {len(family)} batches for its model, with {work}"
    return f"its age and its owner's share put it first of {len(family)} there, with {work}"


def _beside(view: View, family: list[Candidate] | None = None) -> str:
    others = len(view.candidates) - (len(family) if family else 1)
    if not others:
        return ""
    where = " for other models" if family else ""
    return f"; {others} other {'batch waits' if others == 1 else 'batches wait'}{where}"


def _count(family: list[Candidate]) -> str:
    return "1 batch" if len(family) == 1 else f"{len(family)} batches"
