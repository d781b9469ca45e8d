"""The figures of results for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from vbatch.contracts import events as e
from vbatch.contracts.catalogue import BY_TYPE
from vbatch.results.flows.projecting import Committed

SECONDS_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class ResultsMetrics:
    """Counters are since the start of the process; rates are the reader's business."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._sequence = Gauge("vbatch_results_sequence", "Last projected stream sequence.", registry=registry)
        self._lag = Gauge("vbatch_results_lag_events", "Events between it and the head.", registry=registry)
        self._events = Counter("vbatch_results_events", "Events projected.", registry=registry)
        self._bytes = Counter("vbatch_results_event_bytes", "Their bodies.", registry=registry)
        self._outcomes = Counter("vbatch_results_outcomes", "Outcomes that counted.", registry=registry)
        self._dead_letters = Gauge("vbatch_dead_letters", "Messages nobody could use, not settled.", registry=registry)
        self._open = Gauge("vbatch_results_open_batches", "Batches that have not ended.", registry=registry)
        self._seconds = Histogram(
            "vbatch_results_transaction_seconds",
            "From the first byte decoded to the commit.",
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )
        self._sealed = Counter("vbatch_results_sealed", "Batches sealed.", ["ending"], registry=registry)
        self._sealed_bytes = Counter("vbatch_results_sealed_bytes", "Bytes of their files.", registry=registry)

    def committed(self, committed: Committed) -> None:
        self._sequence.set(committed.state.sequence)
        self._open.set(len(committed.state.batches))
        if committed.event_count:
            self._events.inc(committed.event_count)
            self._bytes.inc(committed.body_bytes)
            self._outcomes.inc(len(committed.changes.outcomes))
            self._seconds.observe(committed.seconds)

    def sealed(self, event: e.BatchSealed, file_bytes: int) -> None:
        self._sealed.labels(ending=BY_TYPE[type(event)].name.removeprefix("batch.")).inc()
        self._sealed_bytes.inc(file_bytes)

    def dead_letters(self, count: int) -> None:
        self._dead_letters.set(count)

    def lagging(self, events: int) -> None:
        self._lag.set(events)
