"""Six workloads for one device and six models. The popularity of models is Zipf, the sizes of batches are lognormal."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random

from vbatch.contracts.ids import ModelId

REQUESTS_A_SECOND = {"llama1b": 46.0, "llama3b": 6.4, "gemma4b": 2.3, "qwen4b": 4.0, "olmo7b": 2.5, "granite3b": 12.0}
"""Rates of a 16 GB card; three are measured, three are guesses of the same order."""
REQUESTS_MAX = 50_000
HOUR = 3600.0
WINDOWS = {24 * HOUR: 0.6, 4 * HOUR: 0.25, HOUR: 0.15}
"""The window of a batch in seconds → its probability."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Work is in seconds on the device; times are in seconds."""

    number: int
    model: ModelId
    work: float
    arrived: float
    due: float


@dataclass(frozen=True, slots=True)
class Shape:
    """`load` is the work that arrives per second; `gap_shape` is the shape of the gamma distribution of gaps: 1 is
    Poisson, less is bursty."""

    batches: int
    load: float
    median: float = 400.0
    sigma: float = 1.5
    gap_shape: float = 1.0
    windows: Mapping[float, float] | None = None


def workload(seed: int, shape: Shape) -> list[Batch]:
    random = Random(seed)
    models = list(REQUESTS_A_SECOND)
    random.shuffle(models)
    popularity = [1.0 / rank for rank in range(1, len(models) + 1)]
    drawn = [_drawn(random, shape, random.choices(models, popularity)[0]) for _ in range(shape.batches)]
    arrivals = _arrivals(random, shape, sum(work for _, work, _ in drawn) / len(drawn))
    return [
        Batch(number, ModelId(model), work, at, at + max(window, 4 * work + 600))  # no window under four times its work
        for number, ((model, work, window), at) in enumerate(zip(drawn, arrivals, strict=False))
    ]


def _drawn(random: Random, shape: Shape, model: str) -> tuple[str, float, float]:
    requests = min(REQUESTS_MAX, max(1, int(random.lognormvariate(math.log(shape.median), shape.sigma))))
    windows = shape.windows or WINDOWS
    return model, requests / REQUESTS_A_SECOND[model], random.choices(list(windows), list(windows.values()))[0]


def _arrivals(random: Random, shape: Shape, mean_work: float) -> Iterator[float]:
    at = 0.0
    while True:
        at += random.gammavariate(shape.gap_shape, mean_work / shape.load / shape.gap_shape)
        yield at


def backlog(seed: int) -> list[Batch]:
    """120 batches that all exist at the start."""
    arriving = workload(seed, Shape(120, 0.9))
    return [
        Batch(arrival.number, arrival.model, arrival.work, 0.0, arrival.due - arrival.arrived) for arrival in arriving
    ]


def _of(shape: Shape) -> Callable[[int], list[Batch]]:
    return lambda seed: workload(seed, shape)


SCENARIOS: dict[str, Callable[[int], list[Batch]]] = {
    "A mixed windows": _of(Shape(500, 0.9)),
    "B tiny batches": _of(Shape(1500, 0.5, median=20, sigma=1.2)),
    "C bursts": _of(Shape(500, 0.85, gap_shape=0.25)),
    "D huge batches": _of(Shape(300, 0.9, median=2000, sigma=1.8)),
    "E tight windows": _of(Shape(500, 0.8, windows={HOUR: 0.5, 2 * HOUR: 0.5})),
    "F backlog": backlog,
}
