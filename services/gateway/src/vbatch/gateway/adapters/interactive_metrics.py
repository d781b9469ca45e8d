"""The metrics of interactive requests for Prometheus: by model, never with the content of a request or an answer."""

from __future__ import annotations

from enum import StrEnum
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


MODELS_MAX = 50
OTHER_MODELS = "other"


class InteractiveResult(StrEnum):
    ANSWERED = "answered"
    """The engine answered; the answer's status may be an error of the request."""
    CUT = "cut"
    """The engine was lost in the middle of a stream."""
    REFUSED = "refused"
    LEFT = "left"
    """The client disconnected before the end."""


class InteractiveMetrics:
    """Each metric is looked up once for each of its few label values, because a lookup costs more than counting."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._models: set[str] = set()
        requests = Counter(
            "vbatch_interactive_requests",
            "Requests that clients waited for, by what came of them.",
            ["model", "result"],
            registry=registry,
        )
        first_byte = Histogram(
            "vbatch_interactive_first_byte_seconds",
            "From the request to the first byte of its answer: of a stream, the time to first token.",
            ["model"],
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )
        seconds = Histogram(
            "vbatch_interactive_seconds",
            "From the request to the end of its answer.",
            ["model"],
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )
        tokens = Counter(
            "vbatch_interactive_tokens",
            "Tokens that answers reported; a stream reports them where the request asks for its usage.",
            ["model", "kind"],
            registry=registry,
        )
        self._requests, self._tokens = cache(requests.labels), cache(tokens.labels)
        self._first_byte, self._seconds = cache(first_byte.labels), cache(seconds.labels)
        self.inside = 0
        Gauge(
            "vbatch_interactive_inside", "Interactive requests that are being answered.", registry=registry
        ).set_function(lambda: self.inside)

    def _label(self, model: str) -> str:
        """Return the label of a model; beyond MODELS_MAX models the others share one label."""
        if model in self._models or len(self._models) < MODELS_MAX:
            self._models.add(model)
            return model
        return OTHER_MODELS

    def answered(self, model: str, result: InteractiveResult, seconds: float, first_byte_seconds: float | None) -> None:
        model = self._label(model)
        self._requests(model, result).inc()
        self._seconds(model).observe(seconds)
        if first_byte_seconds is not None:
            self._first_byte(model).observe(first_byte_seconds)

    def used(self, model: str, input_tokens: int, output_tokens: int) -> None:
        model = self._label(model)
        self._tokens(model, "input").inc(input_tokens)
        self._tokens(model, "output").inc(output_tokens)
