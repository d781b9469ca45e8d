"""The request metrics for Prometheus: by route, never by id. A sample of each latency names one request."""

from __future__ import annotations

from functools import cache

import msgspec
from opentelemetry import trace
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
WAIT_SECONDS_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
OTHER_METHOD = "other"
"""A client may send any word as its method; a metric label must not take arbitrary values."""


class Answered(msgspec.Struct, frozen=True):
    """One request that was answered. `first_byte_seconds` is None when no answer began."""

    request_id: str
    method: str
    route: str
    status: int
    seconds: float
    first_byte_seconds: float | None = None
    received_bytes: int = 0
    sent_bytes: int = 0
    refusal: str | None = None


class RequestMetrics:
    """Each metric is looked up once for each of its few label values, because a lookup costs more than counting."""

    def __init__(self, registry: CollectorRegistry) -> None:
        requests = Counter(
            "vbatch_http_requests", "Answered requests.", ["method", "route", "status"], registry=registry
        )
        seconds = Histogram(
            "vbatch_http_request_seconds",
            "From the request's head to the end of its answer.",
            ["method", "route"],
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )
        first_byte = Histogram(
            "vbatch_http_first_byte_seconds",
            "From the request's head to the head of its answer; streams and downloads last longer than that.",
            ["method", "route"],
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )
        received = Counter("vbatch_http_received_bytes", "Bytes of bodies.", ["route"], registry=registry)
        sent = Counter("vbatch_http_sent_bytes", "Bytes of answers.", ["route"], registry=registry)
        refusals = Counter(
            "vbatch_http_refusals", "Refused requests by the server's own reason.", ["reason"], registry=registry
        )
        self._requests, self._refusals = cache(requests.labels), cache(refusals.labels)
        self._seconds, self._first_byte = cache(seconds.labels), cache(first_byte.labels)
        self._received, self._sent = cache(received.labels), cache(sent.labels)
        self.in_flight = 0
        Gauge("vbatch_http_requests_in_flight", "Requests being answered.", registry=registry).set_function(
            lambda: self.in_flight
        )
        self.open_streams = Gauge("vbatch_event_streams_open", "Event streams being sent.", registry=registry)
        self.own_write_wait = Histogram(
            "vbatch_own_write_wait_seconds",
            "How long an answer waited for the read model to show its own write.",
            buckets=WAIT_SECONDS_BUCKETS,
            registry=registry,
        )

    def answered(self, answered: Answered) -> None:
        method = answered.method if answered.method in METHODS else OTHER_METHOD
        route, exemplar = answered.route, _exemplar(answered)
        self._requests(method, route, str(answered.status)).inc()
        self._seconds(method, route).observe(answered.seconds, exemplar)
        if answered.first_byte_seconds is not None:
            self._first_byte(method, route).observe(answered.first_byte_seconds, exemplar)
        self._received(route).inc(answered.received_bytes)
        self._sent(route).inc(answered.sent_bytes)
        if answered.refusal is not None:
            self._refusals(answered.refusal).inc()


def _exemplar(answered: Answered) -> dict[str, str]:
    """Return labels that lead from a point of a latency panel to the log lines of a request, and to its trace if one is
    recorded."""
    context = trace.get_current_span().get_span_context()
    is_recorded = context.is_valid and context.trace_flags.sampled
    traced = {"trace_id": trace.format_trace_id(context.trace_id)} if is_recorded else {}
    return {"request_id": answered.request_id, **traced}
