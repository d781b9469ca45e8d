"""Metrics that a service has to fetch: its readiness, a database, a neighbouring server.

They are read on the event loop right before each exposition, each within its own time. A value that could not be read
is absent, never zero and never old.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from vbatch.chassis.readiness import Readiness, ReadinessReport

READING_SECONDS_MAX = 3.0
"""Below the scrape timeout of deploy/monitoring (5 s), with time left to answer."""
LABEL_VALUES_MAX = 50
OTHER = "other"

Reading = Callable[[], Awaitable[Iterable[Metric]]]


class Readings(Collector):
    """The newest answer of each reading. `refresh` reads them all concurrently."""

    def __init__(self, registry: CollectorRegistry, readings: Mapping[str, Reading]) -> None:
        self._readings = dict(readings)
        self._answers: dict[str, tuple[Metric, ...]] = {}
        self._failures = Counter(
            "vbatch_reading_failures",
            "Times that a source of metrics gave no answer in time.",
            ["reading"],
            registry=registry,
        )
        for name in self._readings:
            self._failures.labels(name)
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        for metrics in list(self._answers.values()):
            yield from metrics

    async def refresh(self) -> None:
        """Read every source once. Nothing is raised: a source that does not answer is counted and left out."""
        await asyncio.gather(*(self._read(name, reading) for name, reading in self._readings.items()))

    async def _read(self, name: str, reading: Reading) -> None:
        try:
            async with asyncio.timeout(READING_SECONDS_MAX):
                self._answers[name] = tuple(await reading())
        except Exception:  # noqa: BLE001 - whatever error the source meets, the other metrics are still exposed
            self._answers.pop(name, None)
            self._failures.labels(name).inc()


class LabelValues:
    """Keeps one label bounded: the first values keep their names, and the rest share OTHER."""

    def __init__(self, values_max: int = LABEL_VALUES_MAX) -> None:
        self._values_max = values_max
        self._seen: set[str] = set()

    def of(self, value: str) -> str:
        if value not in self._seen:
            if len(self._seen) >= self._values_max:
                return OTHER
            self._seen.add(value)
        return value


def readiness_reading(readiness: Readiness) -> Reading:
    """Each check of `/ready` as 1 or 0."""

    async def read() -> Iterable[Metric]:
        return [readiness_metric(await readiness.report())]

    return read


def readiness_metric(report: ReadinessReport) -> Metric:
    family = GaugeMetricFamily("vbatch_ready", "1 while a check of /ready passes, 0 while it fails.", labels=["check"])
    for name, result in report.checks.items():
        family.add_metric([name], result.ok)
    return family
