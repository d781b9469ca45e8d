"""The results of the laps: rates by peer and file, and the ratios against which the server is judged."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from benchmarks.engine_study import laps
from benchmarks.engine_study.laps import Lap
from benchmarks.engine_study.study import PLAIN, SHARED, TEMPLATES, Study
from benchmarks.report import Figure


def figures(done: Study) -> dict[str, Figure]:
    return {**_goals(done), **_rates(done), **_others(done)}


def rate(done: Study, workload: str, peer: str) -> float | None:
    """Requests per second, the median over the rounds; None if the peer did not run the file."""
    rates = [lap.requests_per_second for lap in done.laps if (lap.workload, lap.peer) == (workload, peer)]
    return median(rates) if rates else None


def names(done: Study, kind: str = "") -> list[str]:
    return list(dict.fromkeys(lap.workload for lap in done.laps if lap.workload.startswith(kind)))


def _goals(done: Study) -> dict[str, Figure]:
    shared, plain = names(done, SHARED), names(done, PLAIN)
    by_hand = [_ratio(done, name, laps.BY_HAND) for name in shared]
    return {
        **{f"{name}_vs_run_batch": _ratio(done, name, laps.RUN_BATCH) for name in shared},
        "shared_vs_best_by_hand": _least(by_hand),
        "plain_vs_run_batch": _least([_ratio(done, name, laps.RUN_BATCH) for name in plain]),
        "plain_vs_bench_throughput": _least([_ratio(done, name, laps.BENCH) for name in plain]),
        "bubble_fraction": _bubbles(done),
        "prefix_hit_vs_infinite": _least([_hits(done, name) for name in names(done, TEMPLATES)]),
    }


def _least(ratios: list[float | None]) -> float | None:
    return min((ratio for ratio in ratios if ratio is not None), default=None)


def _ratio(done: Study, workload: str, peer: str) -> float | None:
    own, other = rate(done, workload, laps.OURS), rate(done, workload, peer)
    return None if own is None or other is None else round(own / other, 3)


def _bubbles(done: Study) -> float | None:
    """The share of bubbles among all looks at our engine while requests waited outside."""
    own = [lap for lap in done.laps if lap.peer == laps.OURS]
    looks = sum(lap.more["looks"] for lap in own)
    return round(sum(lap.more["bubble_fraction"] * lap.more["looks"] for lap in own) / looks, 4) if looks else None


def _hits(done: Study, workload: str) -> float | None:
    found = [lap.more["prefix_hit_ratio"] for lap in done.laps if (lap.workload, lap.peer) == (workload, laps.OURS)]
    bound = done.infinite_hit_ratios.get(workload)
    return round(median(found) / bound, 4) if found and bound else None


def _rates(done: Study) -> dict[str, Figure]:
    pairs = dict.fromkeys((lap.workload, lap.peer) for lap in done.laps)
    return {f"{work}_{peer}_requests_per_second": _rounded(rate(done, work, peer)) for work, peer in pairs}


def _others(done: Study) -> dict[str, Figure]:
    """Medians of the other measurements of a peer with a file, and the number of laps."""
    seen: dict[str, Figure] = {
        f"{work}_infinite_hit_ratio": round(it, 4) for work, it in done.infinite_hit_ratios.items()
    }
    for work, peer in dict.fromkeys((lap.workload, lap.peer) for lap in done.laps):
        own = [lap for lap in done.laps if (lap.workload, lap.peer) == (work, peer)]
        seen[f"{work}_{peer}_laps"] = len(own)
        for name in own[0].more:
            seen[f"{work}_{peer}_{name}"] = _rounded(median(_more(name)(lap) for lap in own))
    return seen


def _more(name: str) -> Callable[[Lap], float]:
    return lambda lap: lap.more[name]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
