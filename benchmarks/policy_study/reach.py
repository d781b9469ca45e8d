"""How far any order could improve tiny batches while the device is half idle: the best order of all waiting batches at
every arrival, and the gain of loading a model ahead while nothing waits, up to knowing which one comes next."""

from __future__ import annotations

from collections import Counter
from functools import cache
from math import prod
from statistics import fmean

from benchmarks.policy_study.optimum import FOR_EVER
from benchmarks.policy_study.rules import OLDEST_FIRST, RULES
from benchmarks.policy_study.simulator import Ahead, Device
from benchmarks.policy_study.study import run
from benchmarks.policy_study.workload import SCENARIOS, Batch
from benchmarks.report import Figure
from vbatch.contracts.ids import ModelId
from vbatch.scheduler.core.policy.density import DensityPolicy
from vbatch.scheduler.core.policy.policy import Candidate, Choice, Policy, View

SCENARIO, SWAP_SECONDS = "B tiny batches", 2.6
STATES_MAX = 60_000
"""The bound on states; a queue that needs more is left to the policy, which did not occur in ten workloads."""


def tiny_batches(seeds: int) -> dict[str, Figure]:
    """Mean flow divided by that of oldest first."""
    drawn = [SCENARIOS[SCENARIO](seed) for seed in range(seeds)]
    oldest = fmean(run(RULES[OLDEST_FIRST], batches, SWAP_SECONDS).mean_flow for batches in drawn)
    return {
        f"tiny_batches_{policy}{ahead}_vs_oldest_first": round(_mean_flow(drawn, policy, ahead) / oldest, 3)
        for policy in POLICIES
        for ahead in AHEAD
    }


def _mean_flow(drawn: list[list[Batch]], policy: str, ahead: str) -> float:
    return fmean(Device(POLICIES[policy], SWAP_SECONDS, ahead=AHEAD[ahead]).run(batches).mean_flow for batches in drawn)


def best_order(view: View) -> Choice | None:
    """The batch that comes first when all waiting batches are ordered for the least mean flow, if none arrives."""
    families: dict[ModelId, list[Candidate]] = {}
    for candidate in sorted(view.candidates, key=lambda candidate: candidate.work):
        families.setdefault(candidate.model, []).append(candidate)
    if prod(len(family) + 1 for family in families.values()) * len(families) > STATES_MAX:
        return DensityPolicy()(view)
    first = families[_first_model(view, families)][0]
    return Choice(first.batch_id, "")


def _first_model(view: View, families: dict[ModelId, list[Candidate]]) -> ModelId:
    models = list(families)

    @cache
    def rest(served: tuple[int, ...], last: ModelId | None) -> tuple[float, ModelId]:
        """The least sum of flow times of the unserved batches, and the model to serve next."""
        waiting = len(view.candidates) - sum(served)
        best = (FOR_EVER, models[0]) if waiting else (0.0, models[0])
        for place, model in enumerate(models):
            if served[place] < len(families[model]):
                seconds = families[model][served[place]].work + (0.0 if model == last else view.cost(model))
                one_more = (*served[:place], served[place] + 1, *served[place + 1 :])
                best = min(best, (waiting * seconds + rest(one_more, model)[0], model))
        return best

    return rest((0,) * len(models), view.loaded)[1]


def _commonest(device: Device, _following: Batch) -> ModelId | None:
    """The most common model so far."""
    counted = Counter(served.batch.model for served in device.ended).most_common(1)
    return counted[0][0] if counted else None


POLICIES: dict[str, Policy] = {"this_policy": DensityPolicy(), "best_order": best_order}
AHEAD: dict[str, Ahead] = {
    "": lambda device, _: device.loaded,
    "_commonest_loaded_ahead": _commonest,
    "_next_loaded_ahead": lambda _, following: following.model,
}
