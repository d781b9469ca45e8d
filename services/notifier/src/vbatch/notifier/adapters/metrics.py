"""The notifier's metrics: tries are counted by how they ended, never by endpoint."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from vbatch.notifier.flows.serving import Progress


class NotifierMetrics:
    def __init__(self, registry: CollectorRegistry, progress: Progress) -> None:
        self._tries = Counter("vbatch_webhook_tries", "Tries, by how they ended.", ["ended"], registry=registry)
        self._exhausted = Counter("vbatch_webhook_exhausted", "Deliveries whose tries were used up.", registry=registry)
        waiting = Gauge("vbatch_webhook_deliveries_waiting", "Deliveries that wait for a try.", registry=registry)
        waiting.set_function(lambda: sum(1 for _ in progress.state.waiting()))
        endpoints = Gauge("vbatch_webhook_endpoints", "Endpoints that are there.", registry=registry)
        endpoints.set_function(lambda: len(progress.state.endpoints))
        disabled = Gauge("vbatch_webhook_endpoints_disabled", "Endpoints that were given up.", registry=registry)
        disabled.set_function(lambda: sum(not each.is_enabled for each in progress.state.endpoints.values()))

    def tried(self, ended: str) -> None:
        self._tries.labels(ended).inc()

    def exhausted(self) -> None:
        self._exhausted.inc()
