"""What Prometheus is told about requests: by route, never by id."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class RequestMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "vbatch_http_requests", "Answered requests.", ["method", "route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "vbatch_http_request_seconds",
            "From the request's head to the end of its answer.",
            ["method", "route"],
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )
        self.open_streams = Gauge("vbatch_event_streams_open", "Event streams being sent.", registry=registry)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)
