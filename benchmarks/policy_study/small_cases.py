"""Small backlogs against their exact optima."""

from __future__ import annotations

import math
from random import Random
from statistics import fmean, median

from benchmarks.policy_study.optimum import BATCHES_MAX, fewest_swaps, least_mean_flow, least_missed
from benchmarks.policy_study.rules import OURS, RULES
from benchmarks.policy_study.study import SWAP_SECONDS, run
from benchmarks.policy_study.workload import Batch
from benchmarks.report import Figure
from vbatch.contracts.ids import ModelId

SMALL_CASES = 200
SMALL_MODELS = 3
FLOW_RATIO_MAX = 1.1
"""Fewer swaps count only where mean flow stays within a tenth of the least: serving one model after another always has
the fewest swaps, and may make every batch wait."""
FAR = 1e9


def against_optimum(cases: int) -> dict[str, Figure]:
    """Mean flow and swaps with loose deadlines, missed deadlines with tight ones."""
    random = Random(2026)
    flows, swaps, a_model, missed, unavoidable = list[float](), list[float](), list[float](), 0, 0
    for _ in range(cases):
        calm, swap = _small(random, tightness=None), random.choice(SWAP_SECONDS)
        ours = run(RULES[OURS], calm, swap)
        flows.append(ours.mean_flow / least_mean_flow(calm, swap))
        swaps.append(ours.swaps / fewest_swaps(calm, swap, FLOW_RATIO_MAX))
        a_model.append(ours.swaps / len({batch.model for batch in calm}))
        pressed = _small(random, tightness=random.uniform(0.5, 1.5))
        missed += round(run(RULES[OURS], pressed, swap).missed * len(pressed))
        unavoidable += least_missed(pressed, swap)
    return {
        "vs_exact_optimum_median": round(median(flows), 3),
        "vs_exact_optimum_p95": round(sorted(flows)[int(0.95 * len(flows))], 3),
        "swaps_vs_fewest": round(fmean(swaps), 3),
        "swaps_vs_one_a_model_small_cases": round(fmean(a_model), 3),
        "missed_small_cases": missed,
        "missed_small_cases_exact_optimum": unavoidable,
        "small_cases": cases,
    }


def _small(random: Random, tightness: float | None) -> list[Batch]:
    """Up to eight batches of three models; `tightness` is the span of deadlines divided by the total work."""
    works = [random.lognormvariate(math.log(300), 1.2) for _ in range(random.randint(4, BATCHES_MAX))]
    span = sum(works)
    return [
        Batch(number, ModelId(f"m{random.randrange(SMALL_MODELS)}"), work, 0.0, _due(random, work, span, tightness))
        for number, work in enumerate(works)
    ]


def _due(random: Random, work: float, span: float, tightness: float | None) -> float:
    return FAR if tightness is None else work + random.uniform(0.1, tightness) * span
