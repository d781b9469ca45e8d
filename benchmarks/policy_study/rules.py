"""What the policy is compared with: simpler rules, the policy without one part, and bounds that no policy can beat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.policy_study.simulator import SLICE_SECONDS
from vbatch.scheduler.core.policy.density import DensityPolicy, Tuning
from vbatch.scheduler.core.policy.policy import Candidate, Choice, Policy, View

Key = Callable[[Candidate, View], tuple[float, ...]]
FOR_EVER = float("inf")


@dataclass(frozen=True, slots=True)
class Rule:
    """A policy, and how long one choice lasts; a bound ignores swaps, so it is run without them."""

    policy: Policy
    slice_seconds: float = SLICE_SECONDS
    is_bound: bool = False
    estimate_sigma: float = 0.0


def least(key: Key) -> Policy:
    """The policy that takes the batch with the least key."""

    def policy(view: View) -> Choice | None:
        first = min(view.candidates, key=lambda candidate: key(candidate, view), default=None)
        return None if first is None else Choice(first.batch_id, "")

    return policy


OFF_BY_HALF = "estimates off by half"
OURS, OLDEST_FIRST, GROUP = "this policy", "oldest batch first", "group and drain"
EARLIEST_DEADLINE = "earliest deadline first"
SHORTEST_FREE, DEADLINE_FREE = "bound: shortest first, free swaps", "bound: earliest deadline, free swaps"

RULES: dict[str, Rule] = {
    OLDEST_FIRST: Rule(least(lambda batch, _: (not batch.has_run, batch.arrived, batch.sequence)), FOR_EVER),
    GROUP: Rule(least(lambda batch, view: (batch.model != view.loaded, batch.arrived, batch.sequence)), FOR_EVER),
    EARLIEST_DEADLINE: Rule(least(lambda batch, _: (batch.due, batch.sequence))),
    OURS: Rule(DensityPolicy()),
    "without the guard": Rule(DensityPolicy(Tuning(has_guard=False))),
    "without the filter": Rule(DensityPolicy(Tuning(has_filter=False))),
    "without leaving early": Rule(DensityPolicy(Tuning(has_density=False))),
    "without first answers": Rule(DensityPolicy(Tuning(has_first_answer=False))),
    "without shortest first in the guard": Rule(DensityPolicy(Tuning(has_shortest_in_guard=False))),
    "without staying": Rule(DensityPolicy(Tuning(stay_swaps_max=0.0))),
    "without ageing": Rule(DensityPolicy(Tuning(ageing_seconds=1e12))),
    OFF_BY_HALF: Rule(DensityPolicy(), estimate_sigma=0.5),
    SHORTEST_FREE: Rule(least(lambda batch, _: (batch.work, batch.sequence)), is_bound=True),
    DEADLINE_FREE: Rule(least(lambda batch, _: (batch.due, batch.sequence)), is_bound=True),
}
