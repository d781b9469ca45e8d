"""What a study says in figures and as a table."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean, median

from benchmarks.policy_study.optimum import least_mean_flow_of_loads
from benchmarks.policy_study.rules import GROUP, OFF_BY_HALF, OLDEST_FIRST, OURS, RULES, SHORTEST_FREE
from benchmarks.policy_study.study import SWAP_SECONDS, Cell, Study, run
from benchmarks.policy_study.traces import TRACED
from benchmarks.policy_study.workload import SCENARIOS, Batch, backlog
from benchmarks.report import Figure

FAR = 1e9
PLACES = [(scenario, swap) for scenario in SCENARIOS for swap in SWAP_SECONDS]
BESIDE = [(scenario, swap) for scenario in TRACED for swap in SWAP_SECONDS]


def figures(done: Study) -> dict[str, Figure]:
    flow = {it: done[*it, OURS].mean_flow / done[*it, OLDEST_FIRST].mean_flow for it in PLACES}
    bound = {it: done[*it, OURS].mean_flow / done[*it, SHORTEST_FREE].mean_flow for it in PLACES}
    missed = [done[*it, OURS].missed / old for it in PLACES if (old := done[*it, OLDEST_FIRST].missed)]
    measured: dict[str, Figure] = {
        "mean_flow_vs_oldest_first_max": round(max(flow.values()), 3),
        "mean_flow_vs_oldest_first_max_where": "{} at {} s".format(*max(flow, key=lambda it: flow[it])),
        "mean_flow_vs_oldest_first_median": round(median(flow.values()), 3),
        "mean_flow_vs_free_swap_bound_median": round(median(bound.values()), 3),
        "missed_vs_oldest_first_max": round(max(missed), 4),
        "missed_share_max": round(max(done[*it, OURS].missed for it in PLACES), 4),
        "missed_points_of_estimates_off_by_half_max": round(_points_max(done, OFF_BY_HALF), 2),
        "first_service_past_a_quarter_seconds_max": round(max(done[*it, OURS].starved_seconds for it in PLACES), 1),
        "swaps_vs_oldest_first_median": round(_swaps(done, OLDEST_FIRST), 3),
        "swaps_vs_group_and_drain_median": round(_swaps(done, GROUP), 3),
    }
    return measured | _by_place(done)


def _points_max(done: Study, name: str) -> float:
    """By how many percentage points this variant of ours misses more."""
    return max(100 * (done[*it, name].missed - done[*it, OURS].missed) for it in PLACES)


def _swaps(done: Study, name: str) -> float:
    return median(done[*it, OURS].swaps / done[*it, name].swaps for it in PLACES)


def _by_place(done: Study) -> dict[str, Figure]:
    """Mean flow over that of oldest first, and the same of the bound that no policy can pass."""
    named: dict[str, Figure] = {}
    for scenario, swap in (*PLACES, *BESIDE):
        oldest = done[scenario, swap, OLDEST_FIRST].mean_flow
        for what, rule in (("mean_flow_vs_oldest_first", OURS), ("bound_vs_oldest_first", SHORTEST_FREE)):
            named[f"{what}_{scenario[0]}_{swap:g}s"] = round(done[scenario, swap, rule].mean_flow / oldest, 3)
    return named | {f"missed_share_{it[0][0]}_{it[1]:g}s": round(done[*it, OURS].missed, 4) for it in BESIDE}


def calm_backlog(seeds: int) -> dict[str, Figure]:
    """120 batches at once without deadlines: what fewer swaps would cost."""
    return dict(it for swap in SWAP_SECONDS for it in _calm(seeds, swap).items())


def _calm(seeds: int, swap: float) -> dict[str, Figure]:
    drawn = [[_without_deadline(it) for it in backlog(seed)] for seed in range(seeds)]
    ours = [run(RULES[OURS], it, swap) for it in drawn]
    once, twice = zip(*(least_mean_flow_of_loads(it, swap) for it in drawn), strict=True)
    flow, models = fmean(it.mean_flow for it in ours), sum(len({it.model for it in batches}) for batches in drawn)
    return {
        f"calm_backlog_swaps_vs_one_a_model_{swap:g}s": round(sum(it.swaps for it in ours) / models, 2),
        f"calm_backlog_mean_flow_vs_least_with_one_a_model_{swap:g}s": round(flow / fmean(once), 2),
        f"calm_backlog_mean_flow_vs_least_with_one_more_{swap:g}s": round(flow / fmean(twice), 2),
    }


def _without_deadline(it: Batch) -> Batch:
    return replace(it, due=FAR)


def table(done: Study) -> str:
    """Markdown: mean flow in minutes | missed in percent | swaps."""
    lines = ["| scenario | swap | " + " | ".join(RULES) + " |", "|---" * (2 + len(RULES)) + "|"]
    for scenario, swap in (*PLACES, *BESIDE):
        found = (done.get((scenario, swap, name)) for name in RULES)
        cells = " | ".join(_told(it) if it else "" for it in found)
        lines.append(f"| {scenario} | {swap:g} s | {cells} |")
    return "\n".join(lines)


def _told(it: Cell) -> str:
    return f"{it.mean_flow:.1f} · {100 * it.missed:.1f} % · {it.swaps:.0f}"
