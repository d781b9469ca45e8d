"""The scheduler's metrics. Gauges are read from its state, on its own loop, at each scrape. Counters count events as
they are read from the log, live events only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric

from vbatch.chassis.readings import LabelValues, Reading
from vbatch.contracts import events as e
from vbatch.contracts.forecast import Forecast
from vbatch.contracts.ids import BatchId
from vbatch.contracts.lifecycle import BatchStatus
from vbatch.journal.port import Fill, Log
from vbatch.scheduler.core.state.pending_batch import PendingBatch
from vbatch.scheduler.core.state.state import State

STATUSES = (BatchStatus.VALIDATING, BatchStatus.IN_PROGRESS, BatchStatus.CANCELLING)
WAIT_SECONDS_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0)
WINDOW_RATIO_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
NO_MODEL = "unknown"


class BatchTimes:
    """How long batches wait and run. It sees each live event before the event is folded into `state`."""

    def __init__(self, state: State, registry: CollectorRegistry) -> None:
        self._state = state
        self._models = LabelValues()
        self._first_dispatch = Histogram(
            "vbatch_batch_first_dispatch_seconds",
            "From a batch's creation to the first slice on a runner.",
            ["model"],
            buckets=WAIT_SECONDS_BUCKETS,
            registry=registry,
        )
        self._first_answer = Histogram(
            "vbatch_batch_first_answer_seconds",
            "From a batch's creation to its first recorded answer.",
            ["model"],
            buckets=WAIT_SECONDS_BUCKETS,
            registry=registry,
        )
        self._window_ratio = Histogram(
            "vbatch_batch_window_ratio",
            "How much of its completion window a batch had used when its counting ended.",
            ["ending"],
            buckets=WINDOW_RATIO_BUCKETS,
            registry=registry,
        )
        self._ended = Counter("vbatch_batches_ended", "Batches by how they ended.", ["ending"], registry=registry)
        self._dispatched = Counter(
            "vbatch_dispatched_requests", "Requests sent to runners, repeats included.", ["model"], registry=registry
        )
        for ending in (*e.Ending, "failed"):
            self._ended.labels(ending)

    def observe(self, event: e.Event) -> None:
        match event:
            case e.BatchDispatched(fault=None):
                self._count_dispatch(event)
            case e.ChunkOutline() | e.ChunkCompleted():
                self._count_first_answer(event)
            case e.BatchFinalizing():
                self._count_end(event.batch_id, event.ending, event.at)
            case e.BatchRejected():
                self._count_end(event.batch_id, "failed", event.at)
            case _:
                pass  # says nothing about how long a batch takes

    def _count_dispatch(self, event: e.BatchDispatched) -> None:
        model = self._models.of(event.model)
        self._dispatched.labels(model).inc(len(event.lines))
        batch = self._state.batches.get(event.batch_id)
        if batch is not None and not batch.has_run:
            self._first_dispatch.labels(model).observe(_seconds_since_creation(batch, event.at))

    def _count_first_answer(self, event: e.ChunkOutline | e.ChunkCompleted) -> None:
        batch = self._state.batches.get(event.batch_id)
        if batch is not None and batch.ledger is not None and batch.ledger.answered == 0:
            self._first_answer.labels(self._models.of(event.model)).observe(_seconds_since_creation(batch, event.at))

    def _count_end(self, batch_id: BatchId, ending: str, at: datetime) -> None:
        batch = self._state.batches.get(batch_id)
        if batch is None:
            return
        self._ended.labels(ending).inc()
        self._window_ratio.labels(ending).observe(_seconds_since_creation(batch, at) / (batch.due - batch.arrived))


def state_reading(state: State, now: Callable[[], datetime]) -> Reading:
    """Batches, waiting work, slices, runners, and models that do not load."""

    async def read() -> Iterable[Metric]:
        return list(state_metrics(state, now()))

    return read


def forecast_reading(forecast: Callable[[], Forecast], state: State, is_caught_up: Callable[[], bool]) -> Reading:
    """Whether the pending batches are likely to keep their windows; nothing while the log is still being read."""

    async def read() -> Iterable[Metric]:
        return list(window_metrics(forecast(), state)) if is_caught_up() else []

    return read


def log_reading(log: Log, state: State) -> Reading:
    """The size of the log and how far this reader is behind its head."""

    async def read() -> Iterable[Metric]:
        return list(log_metrics(await log.fill(), await log.last_sequence(), state.sequence))

    return read


def state_metrics(state: State, now: datetime) -> Iterator[Metric]:
    yield _batches(state)
    batches = state.batches.values()
    paused = sum(state.pause_of(batch) != 0 for batch in batches)
    yield _gauge("vbatch_batches_paused", "Unfinished batches that are paused; while all work is, all of them.", paused)
    waiting = sum(batch.waiting_count for batch in batches)
    yield _gauge("vbatch_requests_waiting", "Requests neither answered nor on a runner.", waiting)
    yield from _queues(state, now)
    yield _gauge("vbatch_slices_outstanding", "Slices on runners.", len(state.slices))
    yield _gauge("vbatch_runners", "Live runner processes.", len(state.runners))
    yield _gauge("vbatch_scheduler_sequence", "Last folded stream sequence.", state.sequence)
    failures = GaugeMetricFamily("vbatch_model_load_failures", "Failed loads in a row.", labels=["model", "runner"])
    for (runner_id, model), trouble in state.troubles.items():
        failures.add_metric([model, runner_id], trouble.failures)
    yield failures


def window_metrics(forecast: Forecast, state: State) -> Iterator[Metric]:
    slack = GaugeMetricFamily(
        "vbatch_batch_slack_seconds",
        "Least time between the forecast end of a pending batch and the end of its window; negative: too late.",
        labels=["model"],
    )
    least: dict[str, float] = {}
    models = LabelValues()
    for entry in forecast.batches:
        batch = state.batches.get(entry.batch_id)
        if batch is not None and entry.ends_at is not None:
            model = models.of(entry.model or NO_MODEL)
            least[model] = min(least.get(model, float("inf")), batch.due - entry.ends_at.timestamp())
    for model, seconds in least.items():
        slack.add_metric([model], seconds)
    yield slack
    late = [batch for batch in forecast.batches if batch.admission is not None and not batch.admission.feasible]
    yield _gauge("vbatch_batches_at_risk", "Pending batches that are foretold to miss their window.", len(late))


def log_metrics(fill: Fill, head: int, sequence: int) -> Iterator[Metric]:
    yield _gauge("vbatch_log_bytes", "Size of the event log, uncompressed.", fill.bytes)
    yield _gauge("vbatch_log_limit_bytes", "Size at which the event log takes no more.", fill.bytes_max)
    yield _gauge("vbatch_log_sequence", "Sequence of the newest event.", head)
    yield _gauge("vbatch_scheduler_lag_events", "Events the scheduler has not read.", max(0, head - sequence))


def _batches(state: State) -> Metric:
    family = GaugeMetricFamily("vbatch_batches", "Unfinished batches by status.", labels=["status"])
    statuses = [batch.status for batch in state.batches.values()]
    for status in STATUSES:
        family.add_metric([status], statuses.count(status))
    return family


def _queues(state: State, now: datetime) -> Iterator[Metric]:
    waiting = GaugeMetricFamily(
        "vbatch_model_requests_waiting", "Requests neither answered nor on a runner.", labels=["model"]
    )
    oldest = GaugeMetricFamily(
        "vbatch_model_oldest_wait_seconds", "Age of the oldest batch that has requests waiting.", labels=["model"]
    )
    for model, batches in _waiting_by_model(state).items():
        waiting.add_metric([model], sum(batch.waiting_count for batch in batches))
        oldest.add_metric([model], max((now.timestamp() - batch.arrived for batch in batches), default=0.0))
    yield from (waiting, oldest)


def _waiting_by_model(state: State) -> dict[str, list[PendingBatch]]:
    """Start with the models of the registry, so that an empty queue is reported as 0."""
    models = LabelValues()
    queues: dict[str, list[PendingBatch]] = {models.of(model): [] for model in state.models}
    for batch in state.batches.values():
        if batch.waiting_count:
            queues.setdefault(models.of(batch.model or NO_MODEL), []).append(batch)
    return queues


def _seconds_since_creation(batch: PendingBatch, at: datetime) -> float:
    return max(0.0, at.timestamp() - batch.arrived)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)
