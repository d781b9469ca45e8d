"""Exposes the replicas of the loaded fleet as Prometheus metrics, read at each scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from vbatch.gpu_runner.core.fleet.fleet import Replica

NAMED_MAX = 64
"""How many replicas get their own label; the others share one."""
OTHERS = "other"


class FleetCollector(Collector):
    """Exposes nothing while no fleet is loaded. The counters start at 0 with each engine session."""

    def __init__(self, replicas: Callable[[], Sequence[Replica]]) -> None:
        self._replicas = replicas

    def collect(self) -> Iterator[Metric]:
        up = _gauge("up", "Replicas of the loaded fleet that take requests.")
        inside = _gauge("inside", "Requests inside a replica.")
        window = _gauge("window", "Requests to keep inside a replica, as far as its capacity is known.")
        text = "Requests sent to a replica by what came of them: answered, refused for want of room, or lost."
        requests = CounterMetricFamily("vbatch_runner_replica_requests", text, labels=["replica", "result"])
        for name, replicas in self._labelled():
            up.add_metric([name], sum(replica.size > 0 for replica in replicas))
            inside.add_metric([name], sum(replica.inside + replica.lane_inside for replica in replicas))
            window.add_metric([name], sum(replica.size for replica in replicas))
            requests.add_metric([name, "answered"], sum(replica.answered_count for replica in replicas))
            requests.add_metric([name, "refused"], sum(replica.refused_count for replica in replicas))
            requests.add_metric([name, "lost"], sum(replica.lost_count for replica in replicas))
        yield from (up, inside, window, requests)

    def _labelled(self) -> Iterator[tuple[str, Sequence[Replica]]]:
        replicas = self._replicas()
        yield from ((replica.name, [replica]) for replica in replicas[:NAMED_MAX])
        if others := replicas[NAMED_MAX:]:
            yield OTHERS, others


def _gauge(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"vbatch_runner_replica_{name}", text, labels=["replica"])
