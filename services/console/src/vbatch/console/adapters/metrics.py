"""The metrics of the pages for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Gauge


def page_metrics(registry: CollectorRegistry, stream_count: Callable[[], int], watch_count: Callable[[], int]) -> None:
    streams = Gauge("vbatch_console_streams", "Live pages open now.", registry=registry)
    streams.set_function(stream_count)
    watches = Gauge("vbatch_console_watches", "Different pages behind them.", registry=registry)
    watches.set_function(watch_count)
