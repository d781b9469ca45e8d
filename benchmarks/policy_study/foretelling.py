"""How accurate forecasts are: when a twentieth of a batch is answered, the service is asked when it will end.

The service does not know the arrivals or the lengths of answers: the mean of a batch differs by a factor of two from
the usual mean of its model, and its requests differ from each other by as much.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from multiprocessing import Pool
from random import Random
from statistics import fmean, median

from benchmarks.policy_study.service import Engine, Load, Service, usage
from benchmarks.policy_study.study import SWAP_SECONDS
from benchmarks.policy_study.workload import REQUESTS_A_SECOND, SCENARIOS, Batch
from benchmarks.report import Figure
from vbatch.contracts.ids import BatchId, ModelId
from vbatch.scheduler.core.forecast.forecast import queue
from vbatch.scheduler.core.policy.density import DensityPolicy
from vbatch.scheduler.core.state.cost_model import units

REQUESTS_MAX = 60_000
"""The limit for one workload: above it one request stands for several, or a run takes minutes."""
ASKED_SHARE = 0.05
ASKED_MAX = 80
"""The number of batches in one workload for which a forecast is taken."""
TOKENS = 200
SIGMA = 0.5
"""The deviation of the logarithm of a batch's mean answer, and of each answer."""


@dataclass(frozen=True, slots=True)
class Told:
    """A forecast and the actual end, in seconds from the moment of the forecast."""

    likely: float
    earliest: float
    latest: float
    truth: float

    @property
    def error(self) -> float:
        """The error as a share of the truth; forecasts have whole seconds, so an end below ten seconds counts as 10."""
        return abs(self.likely - self.truth) / max(10.0, self.truth)

    @property
    def holds(self) -> bool:
        return self.earliest - 1.0 <= self.truth <= self.latest + 1.0


def forecasts(seeds: int) -> dict[str, Figure]:
    places = [(scenario, swap, seed) for scenario in SCENARIOS for swap in SWAP_SECONDS for seed in range(seeds)]
    with Pool(len(os.sched_getaffinity(0))) as pool:
        found = dict(zip(places, pool.starmap(ask, places, chunksize=1), strict=True))
    everything = [forecast for told in found.values() for forecast in told]
    by_scenario = {
        scenario: [forecast for place, told in found.items() if place[0] == scenario for forecast in told]
        for scenario in SCENARIOS
    }
    return {
        "eta_error_median": round(median(forecast.error for forecast in everything), 3),
        "eta_error_median_worst_scenario": round(
            max(median(forecast.error for forecast in told) for told in by_scenario.values()), 3
        ),
        "eta_error_mean": round(fmean(forecast.error for forecast in everything), 3),
        "eta_range_holds": round(fmean(forecast.holds for forecast in everything), 3),
        "eta_range_holds_worst_scenario": round(
            min(fmean(forecast.holds for forecast in told) for told in by_scenario.values()), 3
        ),
        "eta_range_over_truth_median": round(
            median((forecast.latest - forecast.earliest) / max(10.0, forecast.truth) for forecast in everything), 3
        ),
        "eta_asked": len(everything),
    }


def ask(scenario: str, swap_seconds: float, seed: int) -> list[Told]:
    """Run one workload through the service; return the forecasts for some batches with their actual ends."""
    batches = SCENARIOS[scenario](seed)
    stands_for = max(1.0, sum(map(_requests, batches)) / REQUESTS_MAX)
    random = Random(seed)
    loads = [_load(random, batch, max(1, round(_requests(batch) / stands_for))) for batch in batches]
    asked = {load.batch_id for load in Random(seed).sample(loads, min(ASKED_MAX, len(loads)))}
    said: dict[BatchId, tuple[float, float, float, float]] = {}

    def listen(service: Service, batch_id: BatchId, now: float) -> None:
        batch = service.state.batches.get(batch_id)
        if batch_id not in asked or batch_id in said or batch is None or batch.ledger is None:
            return
        if batch.ledger.answered < ASKED_SHARE * batch.ledger.total:
            return
        at = service.at()
        entry = next(entry for entry in queue(service.state, service.policy, at) if entry.batch_id == batch_id)
        if entry.ends_at and entry.ends_at_earliest and entry.ends_at_latest:
            ends = (entry.ends_at, entry.ends_at_earliest, entry.ends_at_latest)
            said[batch_id] = (now, *((end - at).total_seconds() for end in ends))  # type: ignore[assignment]  # three

    service = Service(DensityPolicy(), _engines(stands_for, swap_seconds), on_answers=listen)
    service.run(loads)
    return [
        Told(likely, earliest, latest, service.ended[batch_id] - now)
        for batch_id, (now, likely, earliest, latest) in said.items()
    ]


def _load(random: Random, batch: Batch, requests: int) -> Load:
    mean = math.log(TOKENS) + random.gauss(-SIGMA * SIGMA, SIGMA)
    tokens = [max(1, round(random.lognormvariate(mean, SIGMA))) for _ in range(requests)]
    return Load(BatchId(f"batch_{batch.number}"), batch.model, batch.arrived, batch.due, tokens)


def _requests(batch: Batch) -> float:
    return batch.work * REQUESTS_A_SECOND[batch.model]


def _engines(stands_for: float, swap_seconds: float) -> dict[ModelId, Engine]:
    a_request = units(1, usage(TOKENS)) / stands_for
    return {ModelId(model): Engine(rate * a_request, swap_seconds) for model, rate in REQUESTS_A_SECOND.items()}
