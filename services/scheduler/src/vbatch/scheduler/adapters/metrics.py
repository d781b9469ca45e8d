"""The scheduler's figures, read from its state when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from vbatch.contracts.lifecycle import BatchStatus
from vbatch.scheduler.core.state.state import State


class StateCollector(Collector):
    """Batches by status, requests that wait, slices on runners, models that do not load."""

    def __init__(self, state: State) -> None:
        self._state = state

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield self._batches()
        batches = self._state.batches.values()
        waiting = sum(batch.waiting_count for batch in batches)
        yield GaugeMetricFamily("vbatch_requests_waiting", "Requests neither answered nor on a runner.", waiting)
        yield GaugeMetricFamily("vbatch_slices_outstanding", "Slices on runners.", len(self._state.slices))
        yield GaugeMetricFamily("vbatch_runners", "Live runner processes.", len(self._state.runners))
        yield GaugeMetricFamily("vbatch_scheduler_sequence", "Last folded stream sequence.", self._state.sequence)
        failures = GaugeMetricFamily("vbatch_model_load_failures", "Failed loads in a row.", labels=["model", "runner"])
        for (runner_id, model), trouble in self._state.troubles.items():
            failures.add_metric([model, runner_id], trouble.failures)
        yield failures

    def _batches(self) -> GaugeMetricFamily:
        family = GaugeMetricFamily("vbatch_batches", "Unfinished batches by status.", labels=["status"])
        statuses = [batch.status for batch in self._state.batches.values()]
        for status in (BatchStatus.VALIDATING, BatchStatus.IN_PROGRESS, BatchStatus.CANCELLING):
            family.add_metric([status], statuses.count(status))
        return family


def register(state: State, registry: CollectorRegistry) -> None:
    registry.register(StateCollector(state))
