"""The Prometheus metrics of results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from time import monotonic
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric

from vbatch.chassis.clock import utc_now
from vbatch.chassis.readings import LabelValues, Reading
from vbatch.contracts import events as e
from vbatch.contracts.catalogue import BY_TYPE
from vbatch.contracts.events import is_success
from vbatch.journal.port import Log
from vbatch.results.core.lag import Lag
from vbatch.results.flows.projecting import Committed

SECONDS_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
DELAY_SECONDS_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
CODES_MAX = 30
STATUS_CODE: Final = 5
ERROR_CODE: Final = 6
"""The position of the error code in a row of OUTCOME_COLUMNS."""


class ResultsMetrics:
    """Counters count from the start of the process; rates are computed by the reader."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._sequence = Gauge("vbatch_results_sequence", "Last projected stream sequence.", registry=registry)
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
        self._delay = Histogram(
            "vbatch_results_delay_seconds",
            "From an event's place in the log to its commit in the read model, of live events.",
            buckets=DELAY_SECONDS_BUCKETS,
            registry=registry,
        )
        self._failures = Counter(
            "vbatch_results_failed_outcomes",
            "Failed requests by HTTP status or error code.",
            ["code"],
            registry=registry,
        )
        self._codes = LabelValues(CODES_MAX)
        self._sealed = Counter("vbatch_results_sealed", "Batches sealed.", ["ending"], registry=registry)
        self._sealed_bytes = Counter("vbatch_results_sealed_bytes", "Bytes of their files.", registry=registry)
        self._retention = Gauge(
            "vbatch_retention_policy_readable", "0 while the file of the policy cannot be read.", registry=registry
        )
        self._retention.set(1)  # nothing was unreadable before the first look
        for ending in e.Ending:
            self._sealed.labels(ending=ending)

    def committed(self, committed: Committed, *, is_live: bool) -> None:
        """Count a transaction. `is_live`: it was not stored before this process started, so its delay is due to this
        process."""
        self._sequence.set(committed.state.sequence)
        self._open.set(len(committed.state.batches))
        if committed.event_count:
            self._events.inc(committed.event_count)
            self._bytes.inc(committed.body_bytes)
            self._outcomes.inc(len(committed.changes.outcomes))
            self._seconds.observe(committed.seconds)
            self._count_failures(committed)
        if is_live and committed.first_recorded_at is not None:
            self._delay.observe(max(0.0, (utc_now() - committed.first_recorded_at).total_seconds()))

    def sealed(self, event: e.BatchSealed, file_bytes: int) -> None:
        self._sealed.labels(ending=BY_TYPE[type(event)].name.removeprefix("batch.")).inc()
        self._sealed_bytes.inc(file_bytes)

    def retention_read(self, is_readable: bool) -> None:
        self._retention.set(is_readable)

    def dead_letters(self, count: int) -> None:
        self._dead_letters.set(count)

    def _count_failures(self, committed: Committed) -> None:
        for outcome in committed.changes.outcomes:
            status_code, error_code = outcome[STATUS_CODE], outcome[ERROR_CODE]
            if not is_success(status_code):
                self._failures.labels(self._codes.of(error_code or str(status_code))).inc()


def lag_reading(log: Log, sequence: Callable[[], int]) -> Reading:
    """How far the projection is behind the log, in events and in time; `sequence` returns its current position."""
    lag = Lag()

    async def read() -> Iterable[Metric]:
        head, stands_at = await log.last_sequence(), sequence()
        return list(lag_metrics(max(0, head - stands_at), lag.seconds(monotonic(), head, stands_at)))

    return read


def lag_metrics(events: int, seconds: float) -> Iterator[Metric]:
    yield GaugeMetricFamily("vbatch_results_lag_events", "Events the read model does not show yet.", value=events)
    text = "For how long the log has held an event that the read model does not show."
    yield GaugeMetricFamily("vbatch_results_lag_seconds", text, value=seconds)
