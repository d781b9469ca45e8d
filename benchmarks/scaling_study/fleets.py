"""Fleets of simulated devices under the scheduler's own decisions: how fast it decides, and how long batches take."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from statistics import fmean
from time import process_time

from benchmarks.policy_study.foretelling import TOKENS
from benchmarks.policy_study.service import Engine, Load, Service, usage
from benchmarks.policy_study.workload import REQUESTS_A_SECOND, Batch, Shape, workload
from vbatch.contracts import events as e
from vbatch.contracts.ids import BatchId, ModelId
from vbatch.scheduler.core.policy.density import DensityPolicy
from vbatch.scheduler.core.state.cost_model import units

LOAD = 0.85
"""Work that arrives, as a share of what the devices can do."""
REQUESTS_MAX = 6_000
"""The limit on simulated requests; above it, one request stands for several."""
SWAP_SECONDS = 48.0
CONCURRENCY = 64


@dataclass
class TimedService(Service):
    """Records the CPU seconds of decisions and of folds, and how many there were."""

    decide_seconds: float = 0.0
    decisions: int = 0
    fold_seconds: float = 0.0
    folds: int = 0
    pending_max: int = field(default=0)

    def _decide(self) -> list[e.AnyEvent]:
        began = process_time()
        events = super()._decide()
        self.decide_seconds += process_time() - began
        self.decisions += 1
        self.pending_max = max(self.pending_max, len(self.state.batches))
        return events

    def _fold(self, event: e.AnyEvent) -> None:
        began = process_time()
        super()._fold(event)
        self.fold_seconds += process_time() - began
        self.folds += 1


@dataclass(frozen=True, slots=True)
class Fleet:
    """The result of a fleet: times of batches in minutes, the rest as named."""

    decisions_a_second: float
    folds_a_second: float
    pending_max: int
    mean_flow_minutes: float
    missed_share: float
    loads_a_device: float


def fleet(devices: int, batches: int, seed: int = 1) -> Fleet:
    drawn = workload(seed, Shape(batches, LOAD * devices))
    stands_for = max(1.0, sum(map(_requests, drawn)) / REQUESTS_MAX)
    service = TimedService(DensityPolicy(), _engines(stands_for), concurrency=CONCURRENCY, runners=devices)
    service.run([_load(batch, stands_for) for batch in drawn])
    ends = [(service.ended[_id(batch)], batch) for batch in drawn]
    return Fleet(
        decisions_a_second=service.decisions / service.decide_seconds,
        folds_a_second=service.folds / service.fold_seconds,
        pending_max=service.pending_max,
        mean_flow_minutes=fmean(ended - batch.arrived for ended, batch in ends) / 60,
        missed_share=fmean(ended > batch.due for ended, batch in ends),
        loads_a_device=len(service.loads) / devices,
    )


def _id(batch: Batch) -> BatchId:
    return BatchId(f"batch_{batch.number}")


def _requests(batch: Batch) -> float:
    return batch.work * REQUESTS_A_SECOND[batch.model]


def _load(batch: Batch, stands_for: float) -> Load:
    """Answers of one length for each batch, between half and twice the usual one."""
    tokens = round(TOKENS * 2.0 ** Random(batch.number).uniform(-1.0, 1.0))
    requests = max(1, round(_requests(batch) / stands_for))
    return Load(_id(batch), batch.model, batch.arrived, batch.due, [tokens] * requests)


def _engines(stands_for: float) -> dict[ModelId, Engine]:
    a_request = units(1, usage(TOKENS)) / stands_for
    return {ModelId(model): Engine(rate * a_request, SWAP_SECONDS) for model, rate in REQUESTS_A_SECOND.items()}
