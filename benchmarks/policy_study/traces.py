"""Workloads based on public traces: how many requests arrive per hour, how long they are, and how they burst. The
traces name neither models nor deadlines, so both are added: a tenant sends the requests of an hour as one batch.

Counts and mean tokens are those of the published files, each 59 minutes: Azure LLM inference 2023 (Patel et al., ISCA
2024) and Mooncake (Qin et al., FAST 2025). Bursts are those of BurstGPT (Wang et al. 2024), gamma distributed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from random import Random

from benchmarks.policy_study.workload import HOUR, REQUESTS_A_SECOND, WINDOWS, Batch
from vbatch.contracts.ids import ModelId
from vbatch.scheduler.core.state.cost_model import OUTPUT_WEIGHT, REQUEST_UNITS

TENANTS_A_TRACE, HOURS, LOAD = 5, 24, 0.85
BURST_SHAPE = 0.25
"""The shape of the gamma distribution of a tenant's requests from hour to hour: a coefficient of variation of 2."""


@dataclass(frozen=True, slots=True)
class Trace:
    """The number of requests in one trace, and their mean tokens."""

    requests_an_hour: float
    input_tokens: float
    output_tokens: float

    @property
    def request_units(self) -> float:
        return REQUEST_UNITS + self.input_tokens + OUTPUT_WEIGHT * self.output_tokens


TRACES = (
    Trace(19_366, 1_155, 211),  # Azure 2023, conversation
    Trace(8_819, 2_048, 28),  # Azure 2023, code
    Trace(12_031, 12_035, 343),  # Mooncake, conversation
    Trace(3_993, 15_325, 149),  # Mooncake, synthetic
)
MEASURED = Trace(0, 788, 308)
"""The mean tokens of the requests with which the speeds of the models were measured."""


@dataclass(frozen=True, slots=True)
class _Tenant:
    model: str
    requests_an_hour: float
    request_units: float

    @property
    def work_an_hour(self) -> float:
        """The work of an hour, in seconds of device time."""
        return self.requests_an_hour * self.request_units / MEASURED.request_units / REQUESTS_A_SECOND[self.model]


def hourly(seed: int) -> list[Batch]:
    """All tenants send their batches when the hour is over, with the same number of requests every hour."""
    return _batches(seed, lambda _: 1.0, lambda _: 1.0)


def bursts(seed: int) -> list[Batch]:
    """A tenant's requests come in bursts, and the tenant sends them at some time in the following hour."""
    return _batches(seed, lambda random: random.gammavariate(BURST_SHAPE, 1.0 / BURST_SHAPE), Random.random)


TRACED: dict[str, Callable[[int], list[Batch]]] = {"G traces, hourly": hourly, "H traces, bursts": bursts}


def _batches(seed: int, volume: Callable[[Random], float], delay: Callable[[Random], float]) -> list[Batch]:
    random = Random(seed)
    tenants = list(_tenants(random))
    share = (
        LOAD * HOUR / sum(tenant.work_an_hour for tenant in tenants)
    )  # the share of the traces' requests that one device can serve
    drawn = [
        (
            HOUR * (hour + delay(random)),
            tenant.model,
            max(0.1, share * tenant.work_an_hour * volume(random)),
            _completion_window(random),
        )
        for hour in range(HOURS)
        for tenant in tenants
    ]
    return [
        Batch(number, ModelId(model), work, at, at + max(window, 4 * work + 600))
        for number, (at, model, work, window) in enumerate(sorted(drawn, key=itemgetter(0)))
    ]


def _tenants(random: Random) -> Iterator[_Tenant]:
    """Spread each trace's requests over its tenants, and models over all tenants by Zipf's law."""
    models = list(REQUESTS_A_SECOND)
    random.shuffle(models)
    popularity = [1.0 / rank for rank in range(1, len(models) + 1)]
    ranks = range(1, TENANTS_A_TRACE + 1)
    for trace in TRACES:
        for rank in ranks:
            requests = trace.requests_an_hour / rank / sum(1.0 / rank for rank in ranks)
            yield _Tenant(random.choices(models, popularity)[0], requests, trace.request_units)


def _completion_window(random: Random) -> float:
    return random.choices(list(WINDOWS), list(WINDOWS.values()))[0]
