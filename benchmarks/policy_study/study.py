"""Runs every rule on every workload and says in figures how they compare."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from statistics import fmean, median

from benchmarks.policy_study.optimum import BATCHES_MAX, least_mean_flow, least_missed
from benchmarks.policy_study.rules import GROUP, OLDEST_FIRST, OURS, RULES, SHORTEST_FREE, Rule
from benchmarks.policy_study.simulator import Device, Estimate, Run
from benchmarks.policy_study.workload import SCENARIOS, Batch, backlog
from benchmarks.report import Figure
from vbatch.contracts.ids import BatchId, ModelId
from vbatch.scheduler.core.foresight import foresee

SWAP_SECONDS = (48.0, 2.6)
"""A cold load, and waking a sleeping engine."""
SMALL_CASES = 200
SMALL_MODELS = 3
FAR = 1e9


@dataclass(frozen=True, slots=True)
class Cell:
    """One rule on one scenario at one swap cost, over all seeds. Flow in minutes, missed as a share."""

    mean_flow: float
    missed: float
    swaps: float


Study = Mapping[tuple[str, float, str], Cell]
"""(scenario, swap seconds, rule) → what came of it."""


def study(seeds: int) -> Study:
    return {
        (scenario, swap, name): _cell([run(rule, draw(seed), swap, seed) for seed in range(seeds)])
        for scenario, draw in SCENARIOS.items()
        for swap in SWAP_SECONDS
        for name, rule in RULES.items()
    }


def run(rule: Rule, batches: list[Batch], swap_seconds: float, seed: int = 0) -> Run:
    swap = 0.0 if rule.is_bound else swap_seconds
    estimate = estimates(batches, rule.estimate_sigma, seed)
    return Device(rule.policy, swap, rule.slice_seconds, estimate, error=rule.estimate_sigma / 2).run(batches)


def estimates(batches: list[Batch], sigma: float, seed: int) -> Estimate:
    """Beliefs that are off by a lognormal factor, the same for a batch all along."""
    random = Random(seed)
    factors = {it.number: math.exp(random.gauss(0.0, sigma)) for it in batches}
    return lambda it: factors[it.number]


def _cell(runs: list[Run]) -> Cell:
    return Cell(
        mean_flow=fmean(it.mean_flow for it in runs) / 60,
        missed=fmean(it.missed for it in runs),
        swaps=fmean(it.swaps for it in runs),
    )


def figures(done: Study) -> dict[str, Figure]:
    places = [(scenario, swap) for scenario in SCENARIOS for swap in SWAP_SECONDS]
    flow = {it: done[*it, OURS].mean_flow / done[*it, OLDEST_FIRST].mean_flow for it in places}
    bound = {it: done[*it, OURS].mean_flow / done[*it, SHORTEST_FREE].mean_flow for it in places}
    missed = [done[*it, OURS].missed / old for it in places if (old := done[*it, OLDEST_FIRST].missed)]
    swaps = [done[*it, OURS].swaps / done[*it, GROUP].swaps for it in places]
    measured: dict[str, Figure] = {
        "mean_flow_vs_oldest_first_max": round(max(flow.values()), 3),
        "mean_flow_vs_oldest_first_max_where": "{} at {} s".format(*max(flow, key=lambda it: flow[it])),
        "mean_flow_vs_oldest_first_median": round(median(flow.values()), 3),
        "mean_flow_vs_free_swap_bound_median": round(median(bound.values()), 3),
        "missed_vs_oldest_first_max": round(max(missed), 4),
        "missed_share_max": round(max(done[*it, OURS].missed for it in places), 4),
        "swaps_vs_fewest": round(median(swaps), 3),
        "swaps_vs_oldest_first_median": round(
            median(done[*it, OURS].swaps / done[*it, OLDEST_FIRST].swaps for it in places), 3
        ),
    }
    return measured | _by_place(flow.items())


def _by_place(flow: Iterable[tuple[tuple[str, float], float]]) -> dict[str, Figure]:
    return {f"mean_flow_vs_oldest_first_{name[0]}_{swap:g}s": round(ratio, 3) for (name, swap), ratio in flow}


def foretold_ends(seeds: int) -> dict[str, Figure]:
    """On backlogs: how far the end foretold at the start is from the end, as a share of the wait."""
    return {
        "eta_error_median_estimates_exact": round(median(_eta_errors(seeds, 0.0)), 3),
        "eta_error_median_estimates_off_by_quarter": round(median(_eta_errors(seeds, 0.25)), 3),
    }


def _eta_errors(seeds: int, sigma: float) -> Iterator[float]:
    for seed in range(seeds):
        batches, policy = backlog(seed), RULES[OURS].policy
        believed = estimates(batches, sigma, seed)
        device = Device(policy, SWAP_SECONDS[0], estimate=believed, error=sigma / 2)
        for it in batches:
            device.arrive(it)
        courses = foresee(device.view(), policy)
        fresh = Device(policy, SWAP_SECONDS[0], estimate=believed, error=sigma / 2)
        for one in fresh.run(batches).ended:
            if (foretold := courses[BatchId(str(one.batch.number))].ends) is not None:
                yield abs(foretold - one.ended) / one.flow


def against_optimum(cases: int) -> dict[str, Figure]:
    """On small backlogs: mean flow when no deadline presses, missed deadlines when they do."""
    random = Random(2026)
    flows, missed, unavoidable = [], 0, 0
    for _ in range(cases):
        calm, swap = _small(random, tightness=None), random.choice(SWAP_SECONDS)
        flows.append(run(RULES[OURS], calm, swap).mean_flow / least_mean_flow(calm, swap))
        pressed = _small(random, tightness=random.uniform(0.5, 1.5))
        missed += round(run(RULES[OURS], pressed, swap).missed * len(pressed))
        unavoidable += least_missed(pressed, swap)
    return {
        "vs_exact_optimum_median": round(median(flows), 3),
        "vs_exact_optimum_p95": round(sorted(flows)[int(0.95 * len(flows))], 3),
        "missed_small_cases": missed,
        "missed_small_cases_exact_optimum": unavoidable,
        "small_cases": cases,
    }


def _small(random: Random, tightness: float | None) -> list[Batch]:
    """Up to eight batches of three models; `tightness` is the span of deadlines over all work."""
    works = [random.lognormvariate(math.log(300), 1.2) for _ in range(random.randint(4, BATCHES_MAX))]
    span = sum(works)
    return [
        Batch(number, ModelId(f"m{random.randrange(SMALL_MODELS)}"), work, 0.0, _due(random, work, span, tightness))
        for number, work in enumerate(works)
    ]


def _due(random: Random, work: float, span: float, tightness: float | None) -> float:
    return FAR if tightness is None else work + random.uniform(0.1, tightness) * span


def table(done: Study) -> str:
    """Markdown: mean flow in minutes | missed in percent | swaps."""
    lines = ["| scenario | swap | " + " | ".join(RULES) + " |", "|---" * (2 + len(RULES)) + "|"]
    for scenario in SCENARIOS:
        for swap in SWAP_SECONDS:
            cells = " | ".join(_told(done[scenario, swap, name]) for name in RULES)
            lines.append(f"| {scenario} | {swap:g} s | {cells} |")
    return "\n".join(lines)


def _told(it: Cell) -> str:
    return f"{it.mean_flow:.1f} · {100 * it.missed:.1f} % · {it.swaps:.0f}"
