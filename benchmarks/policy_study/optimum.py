"""The optimum for a few batches that all exist at the start: least mean flow and least missed deadlines.

Within a model the shortest first is best for flow, so a dynamic program over the served part of each model finds the
least (after Monma and Potts 1989); the batches that can all be on time are found by growing sets.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cache

from benchmarks.policy_study.workload import Batch
from vbatch.contracts.ids import ModelId

BATCHES_MAX = 8
FOR_EVER = float("inf")


def least_mean_flow(batches: Sequence[Batch], swap_seconds: float) -> float:
    """The least mean flow in seconds."""
    return min(_flows(batches, swap_seconds).values()) / len(batches)


def fewest_swaps(batches: Sequence[Batch], swap_seconds: float, flow_ratio_max: float) -> int:
    """The loads, including the first, of the schedules whose mean flow is at most `flow_ratio_max` times the least."""
    flows = _flows(batches, swap_seconds)
    allowed = flow_ratio_max * min(flows.values())
    return min(swaps for swaps, flow in flows.items() if flow <= allowed)


def _flows(batches: Sequence[Batch], swap_seconds: float) -> dict[int, float]:
    """Loads → the least sum of flow times with that many loads. A batch delays all that have not ended, so the
    remaining cost does not depend on the time."""
    families = _families(batches)

    @cache
    def rest(served: tuple[int, ...], last: int) -> dict[int, float]:
        waiting = len(batches) - sum(served)
        if not waiting:
            return {0: 0.0}
        best: dict[int, float] = {}
        for number, family in enumerate(families):
            if served[number] == len(family):
                continue
            swap = 0 if number == last else 1
            cost = waiting * (family[served[number]] + swap * swap_seconds)
            for swaps, flow in rest(_one_more(served, number), number).items():
                best[swaps + swap] = min(best.get(swaps + swap, FOR_EVER), cost + flow)
        return best

    return rest((0,) * len(families), -1)


def least_mean_flow_of_loads(batches: Sequence[Batch], swap_seconds: float) -> tuple[float, float]:
    """The least mean flow in seconds when each model is loaded once, and when one of them is loaded twice.

    It works for any number of batches: within a visit the shortest come first, and visits are in order of their time
    for each batch (Smith 1956), which never puts a model's longer batches before its shorter ones.
    """
    visits = _families(batches)
    split = (
        [*visits[:number], family[:cut], family[cut:], *visits[number + 1 :]]
        for number, family in enumerate(visits)
        for cut in range(1, len(family))
    )
    once = _flow_of_visits(visits, swap_seconds)
    twice = min((_flow_of_visits(visits, swap_seconds) for visits in split), default=once)
    return once / len(batches), min(once, twice) / len(batches)


def _flow_of_visits(visits: Sequence[Sequence[float]], swap_seconds: float) -> float:
    now, flow = 0.0, 0.0
    for works in sorted(visits, key=lambda visit: (swap_seconds + sum(visit)) / len(visit)):
        now += swap_seconds
        for work in works:
            now += work
            flow += now
    return flow


def _families(batches: Sequence[Batch]) -> list[list[float]]:
    works: defaultdict[ModelId, list[float]] = defaultdict(list)
    for batch in batches:
        works[batch.model].append(batch.work)
    return [sorted(family) for family in works.values()]


def _one_more(served: tuple[int, ...], number: int) -> tuple[int, ...]:
    return (*served[:number], served[number] + 1, *served[number + 1 :])


def least_missed(batches: Sequence[Batch], swap_seconds: float) -> int:
    """The least number of missed deadlines, found by growing the sets of batches that can all be on time, each with its
    earliest end by last model."""
    ends: dict[tuple[frozenset[int], ModelId | None], float] = {(frozenset(), None): 0.0}
    for _ in batches:
        grown: dict[tuple[frozenset[int], ModelId | None], float] = {}
        for (done, last), end in ends.items():
            for batch in batches:
                ended = end + batch.work + (0.0 if batch.model == last else swap_seconds)
                if batch.number in done or ended > batch.due:
                    continue
                key = (done | {batch.number}, batch.model)
                grown[key] = min(ended, grown.get(key, ended))
        if not grown:
            break
        ends = grown
    return len(batches) - max(len(done) for done, _ in ends)
