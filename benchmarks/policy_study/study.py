"""Runs every rule on every workload, as many at once as there are processors."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from multiprocessing import Pool
from random import Random
from statistics import fmean

from benchmarks.policy_study.rules import EARLIEST_DEADLINE, GROUP, OLDEST_FIRST, OURS, RULES, SHORTEST_FREE, Rule
from benchmarks.policy_study.simulator import Device, Estimate, Run
from benchmarks.policy_study.traces import TRACED
from benchmarks.policy_study.workload import SCENARIOS, Batch

SWAP_SECONDS = (48.0, 2.6)
"""A cold load, and waking a sleeping engine."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One rule on one scenario at one swap cost, over all seeds. Flow is in minutes, missed is a share,
    `starved_seconds` is the longest time that a batch waited past a quarter of its window for its first service
    while later ones were served."""

    mean_flow: float
    missed: float
    swaps: float
    starved_seconds: float


Place = tuple[str, float, str]
"""Scenario, swap seconds, rule."""
Study = Mapping[Place, Cell]

TRACED_RULES = (OLDEST_FIRST, GROUP, EARLIEST_DEADLINE, OURS, SHORTEST_FREE)
"""The rules that run on workloads based on traces; these are listed beside the scenarios and measure no goal."""


def study(seeds: int) -> Study:
    rules = dict.fromkeys(SCENARIOS, tuple(RULES)) | dict.fromkeys(TRACED, TRACED_RULES)
    places = [(scenario, swap, name) for scenario in rules for swap in SWAP_SECONDS for name in rules[scenario]]
    with Pool(len(os.sched_getaffinity(0))) as pool:
        return dict(zip(places, pool.map(partial(cell, seeds), places, chunksize=1), strict=True))


def cell(seeds: int, place: Place) -> Cell:
    scenario, swap, name = place
    drawn = (SCENARIOS | TRACED)[scenario]
    runs = [run(RULES[name], drawn(seed), swap, seed) for seed in range(seeds)]
    return Cell(
        mean_flow=fmean(run.mean_flow for run in runs) / 60,
        missed=fmean(run.missed for run in runs),
        swaps=fmean(run.swaps for run in runs),
        starved_seconds=max(run.starved_seconds for run in runs),
    )


def run(rule: Rule, batches: list[Batch], swap_seconds: float, seed: int = 0) -> Run:
    swap = 0.0 if rule.is_bound else swap_seconds
    estimate = costs(batches, rule.estimate_sigma, seed)
    return Device(rule.policy, swap, rule.slice_seconds, estimate, error=rule.estimate_sigma).run(batches)


def costs(batches: list[Batch], sigma: float, seed: int) -> Estimate:
    """Estimates that are off by a lognormal factor, which stays the same for a batch."""
    random = Random(seed)
    factors = {batch.number: math.exp(random.gauss(0.0, sigma)) for batch in batches}
    return lambda batch: factors[batch.number]
