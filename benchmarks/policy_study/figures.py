"""The results of a study as figures and as a table."""

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
    flow = {place: done[*place, OURS].mean_flow / done[*place, OLDEST_FIRST].mean_flow for place in PLACES}
    bound = {place: done[*place, OURS].mean_flow / done[*place, SHORTEST_FREE].mean_flow for place in PLACES}
    missed = [done[*place, OURS].missed / old for place in PLACES if (old := done[*place, OLDEST_FIRST].missed)]
    measured: dict[str, Figure] = {
        "mean_flow_vs_oldest_first_max": round(max(flow.values()), 3),
        "mean_flow_vs_oldest_first_max_where": "{} at {} s".format(*max(flow, key=lambda place: flow[place])),
        "mean_flow_vs_oldest_first_median": round(median(flow.values()), 3),
        "mean_flow_vs_free_swap_bound_median": round(median(bound.values()), 3),
        "missed_vs_oldest_first_max": round(max(missed), 4),
        "missed_share_max": round(max(done[*place, OURS].missed for place in PLACES), 4),
        "missed_points_of_estimates_off_by_half_max": round(_points_max(done, OFF_BY_HALF), 2),
        "first_service_past_a_quarter_seconds_max": round(
            max(done[*place, OURS].starved_seconds for place in PLACES), 1
        ),
        "swaps_vs_oldest_first_median": round(_swaps(done, OLDEST_FIRST), 3),
        "swaps_vs_group_and_drain_median": round(_swaps(done, GROUP), 3),
    }
    return measured | _by_place(done)


def _points_max(done: Study, name: str) -> float:
    """The largest excess of this variant's misses over those of the full policy, in percentage points."""
    return max(100 * (done[*place, name].missed - done[*place, OURS].missed) for place in PLACES)


def _swaps(done: Study, name: str) -> float:
    return median(done[*place, OURS].swaps / done[*place, name].swaps for place in PLACES)


def _by_place(done: Study) -> dict[str, Figure]:
    """Mean flow divided by that of oldest first, and the same for the bound that no policy can pass."""
    named: dict[str, Figure] = {}
    for scenario, swap in (*PLACES, *BESIDE):
        oldest = done[scenario, swap, OLDEST_FIRST].mean_flow
        for what, rule in (("mean_flow_vs_oldest_first", OURS), ("bound_vs_oldest_first", SHORTEST_FREE)):
            named[f"{what}_{scenario[0]}_{swap:g}s"] = round(done[scenario, swap, rule].mean_flow / oldest, 3)
    return named | {f"missed_share_{pair[0][0]}_{pair[1]:g}s": round(done[*pair, OURS].missed, 4) for pair in BESIDE}


def calm_backlog(seeds: int) -> dict[str, Figure]:
    """120 batches at once without deadlines: what fewer swaps would cost."""
    return dict(figure for swap in SWAP_SECONDS for figure in _calm(seeds, swap).items())


def _calm(seeds: int, swap: float) -> dict[str, Figure]:
    drawn = [[_without_deadline(batch) for batch in backlog(seed)] for seed in range(seeds)]
    ours = [run(RULES[OURS], batches, swap) for batches in drawn]
    once, twice = zip(*(least_mean_flow_of_loads(batches, swap) for batches in drawn), strict=True)
    flow, models = (
        fmean(our.mean_flow for our in ours),
        sum(len({batch.model for batch in batches}) for batches in drawn),
    )
    return {
        f"calm_backlog_swaps_vs_one_a_model_{swap:g}s": round(sum(our.swaps for our in ours) / models, 2),
        f"calm_backlog_mean_flow_vs_least_with_one_a_model_{swap:g}s": round(flow / fmean(once), 2),
        f"calm_backlog_mean_flow_vs_least_with_one_more_{swap:g}s": round(flow / fmean(twice), 2),
    }


def _without_deadline(batch: Batch) -> Batch:
    return replace(batch, due=FAR)


def table(done: Study) -> str:
    """Markdown: mean flow in minutes | missed in percent | swaps."""
    lines = ["| scenario | swap | " + " | ".join(RULES) + " |", "|---" * (2 + len(RULES)) + "|"]
    for scenario, swap in (*PLACES, *BESIDE):
        found = (done.get((scenario, swap, name)) for name in RULES)
        cells = " | ".join(_told(figure) if figure else "" for figure in found)
        lines.append(f"| {scenario} | {swap:g} s | {cells} |")
    return "\n".join(lines)


def _told(cell: Cell) -> str:
    return f"{cell.mean_flow:.1f} · {100 * cell.missed:.1f} % · {cell.swaps:.0f}"
