"""Writes docs/metrics.md: every metric of every service, read from the code that exposes it.

This program creates each service's metrics in the same way as the service, so that the page cannot name a metric that
does not exist or leave out a label. `python -m deploy.monitoring.metrics_reference docs/metrics.md [--check]`
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.metrics import MetricWrapperBase

from vbatch.chassis.log_space import report_waiting_writes
from vbatch.chassis.metrics import loop_lag_histogram, service_registry
from vbatch.chassis.readiness import Readiness, ReadinessReport
from vbatch.chassis.readings import Readings, readiness_metric
from vbatch.chassis.tls import report_expiry
from vbatch.console.adapters.metrics import page_metrics
from vbatch.contracts.forecast import Forecast
from vbatch.gateway.adapters.http.request_metrics import RequestMetrics
from vbatch.gateway.adapters.interactive_metrics import InteractiveMetrics
from vbatch.gateway.adapters.key_metrics import key_metrics
from vbatch.gateway.adapters.storage_metrics import storage_metrics
from vbatch.gpu_runner.adapters.fleet_metrics import FleetCollector
from vbatch.gpu_runner.adapters.gpu_metrics import GpuReading, gpu_metrics
from vbatch.gpu_runner.adapters.metrics import RunnerCollector, engine_metrics
from vbatch.gpu_runner.core.engine_counters import COUNTERS, GAUGES, EngineCounters
from vbatch.gpu_runner.core.feed import Feed
from vbatch.gpu_runner.core.metrics import RunnerMetrics
from vbatch.journal.port import Fill
from vbatch.journal.space_wait import SpaceWait
from vbatch.labeler.adapters.metrics import labeler_metrics
from vbatch.labeler.flows.serving import Progress as LabelerProgress
from vbatch.notifier.adapters.metrics import NotifierMetrics
from vbatch.notifier.flows.serving import Progress as NotifierProgress
from vbatch.results.adapters.metrics import ResultsMetrics, lag_metrics
from vbatch.results.adapters.nats_metrics import JetStreamPage, ServerPage, nats_metrics
from vbatch.results.adapters.postgres_metrics import DatabaseReading, postgres_metrics
from vbatch.scheduler.adapters.metrics import BatchTimes, log_metrics, state_metrics, window_metrics
from vbatch.scheduler.core.state.state import State

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ALL = "every service"
SERVERS = "gateway and console, over HTTPS"
WRITERS = "scheduler, gpu-runner, results, notifier and labeler"
ALL_OF_A_GPU = GpuReading(False, 0, 0, 0, 0, 0, 0, 0, 0)
SUFFIXES = {"counter": "_total", "info": "_info"}

HEAD = """# Metrics

Made from the code by `./taskw docs`. Each service shows its metrics at `/metrics` of its port (gateway 4080, console
4081, scheduler 4083, gpu-runner 4084, results 4085, notifier 4086, labeler 4087), in the format of OpenMetrics where
the scraper asks for it; the histograms of HTTP then carry exemplars that name a request. Units are in the names,
counters begin at 0 with the process, and what is not known is absent, not 0. Labels are bounded: no metric carries
the id of a batch, file, key or request, and of the models the first fifty keep their names, the rest share `other`.
The runner passes on all that the engine tells Prometheus at `/metrics/engine`.

Dashboards, alerts and how to use them: [operations.md](operations.md#what-to-look-at-first); what to do about an alert:
[runbooks.md](runbooks.md).
"""


@dataclass(frozen=True, slots=True)
class DescribedMetric:
    """One metric with its Prometheus name. A histogram is listed without `_bucket`, `_sum` and `_count`."""

    service: str
    name: str
    kind: str
    labels: tuple[str, ...]
    text: str


def described() -> list[DescribedMetric]:
    """Return all metrics of all services. Metrics that several services have are listed once, first."""
    return [metric for service in _services() for metric in service]


def page() -> str:
    """Return the text of docs/metrics.md."""
    metrics = described()
    services = list(dict.fromkeys(metric.service for metric in metrics))
    tables = [_table(service, [metric for metric in metrics if metric.service == service]) for service in services]
    return "\n".join([HEAD, *tables])


def _services() -> Iterator[list[DescribedMetric]]:
    yield _described(ALL, _shared_registry(), [readiness_metric(ReadinessReport({}))])
    yield _described(WRITERS, _registry_with(lambda it: report_waiting_writes(SpaceWait(), Readiness(), it)), ())
    yield _described(SERVERS, _registry_with(lambda it: report_expiry(_Certificate(), it)), ())
    yield _described("gateway", _registry_with(RequestMetrics), [*storage_metrics({}), *key_metrics(None)])
    yield _described("gateway", _registry_with(InteractiveMetrics), ())
    yield _described("scheduler", _registry_with(lambda it: BatchTimes(State(), it)), _scheduler_metrics())
    yield _described("gpu-runner", CollectorRegistry(), _runner_metrics())
    yield _described("results", _registry_with(ResultsMetrics), _results_metrics())
    yield _described("notifier", _registry_with(lambda it: NotifierMetrics(it, NotifierProgress())), ())
    yield _described("labeler", _registry_with(lambda it: labeler_metrics(it, LabelerProgress())), ())
    yield _described("console", _registry_with(lambda registry: page_metrics(registry, lambda: 0, lambda: 0)), ())


def _registry_with(make: Callable[[CollectorRegistry], object]) -> CollectorRegistry:
    registry = CollectorRegistry()
    make(registry)
    return registry


def _shared_registry() -> CollectorRegistry:
    registry = service_registry("any")
    loop_lag_histogram(registry)
    Readings(registry, {"any": _no_reading})
    return registry


class _Certificate:
    """A certificate without content: the page needs no value."""

    ends_at = 0.0


async def _no_reading() -> Iterable[Metric]:
    return ()


def _scheduler_metrics() -> Iterator[Metric]:
    state = State()
    yield from state_metrics(state, EPOCH)
    yield from window_metrics(Forecast(at=EPOCH, batches=()), state)
    yield from log_metrics(Fill(0, 0), 0, 0)


def _runner_metrics() -> Iterator[Metric]:
    yield from RunnerCollector(RunnerMetrics(), Feed()).collect()
    yield from FleetCollector(list).collect()
    yield from engine_metrics(EngineCounters(dict.fromkeys((*GAUGES, *COUNTERS), 0.0)))
    yield from gpu_metrics(ALL_OF_A_GPU)


def _results_metrics() -> Iterator[Metric]:
    yield from lag_metrics(0, 0.0)
    yield from postgres_metrics(DatabaseReading(*[0] * len(fields(DatabaseReading))))
    yield from nats_metrics(ServerPage(), JetStreamPage())


def _described(service: str, registry: CollectorRegistry, others: Iterable[Metric]) -> list[DescribedMetric]:
    labels = _labels_of(registry)
    found = [*registry.collect(), *others]
    return [
        DescribedMetric(
            service,
            metric.name + SUFFIXES.get(metric.type, ""),
            metric.type,
            labels.get(metric.name) or _labels_of_family(metric),
            metric.documentation,
        )
        for metric in found
    ]


def _labels_of(registry: CollectorRegistry) -> Mapping[str, tuple[str, ...]]:
    """Return the labels of each metric. prometheus-client gives the labels of a metric without samples only in private
    attributes."""
    wrappers = [each for each in registry._collector_to_names if isinstance(each, MetricWrapperBase)]
    return {family.name: wrapper._labelnames for wrapper in wrappers for family in wrapper.describe()}


def _labels_of_family(metric: Metric) -> tuple[str, ...]:
    from_samples = {label for sample in metric.samples for label in sample.labels if label != "le"}
    return tuple(getattr(metric, "_labelnames", sorted(from_samples)))


def _table(service: str, metrics: Sequence[DescribedMetric]) -> str:
    rows = [f"| `{each.name}` | {each.kind} | {_listed(each.labels)} | {each.text} |" for each in metrics]
    head = [f"## Of {service}", "| metric | type | labels | meaning |", "|---|---|---|---|"]
    return "\n".join([*head, *rows]) + "\n"


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(f"`{label}`" for label in labels)


def main(arguments: Sequence[str]) -> int:
    path = Path(arguments[0])
    if "--check" in arguments:
        is_current = path.is_file() and path.read_text() == page()
        sys.stderr.write("" if is_current else f"{path} is stale: run `./taskw docs`\n")
        return 0 if is_current else 1
    path.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
