"""The runner's figures as Prometheus metrics, read when they are scraped."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from vbatch.gpu_runner.core.feed import Feed
from vbatch.gpu_runner.core.metrics import RunnerMetrics


class RunnerCollector(Collector):
    def __init__(self, metrics: RunnerMetrics, feed: Feed) -> None:
        self._metrics = metrics
        self._feed = feed

    def collect(self) -> Iterator[Metric]:
        yield from self._gauges()
        yield from self._counters()

    def _gauges(self) -> Iterator[Metric]:
        metrics, inside = self._metrics, self._feed.inside_count
        fill = inside / metrics.concurrency if metrics.concurrency else 0.0
        yield _gauge("window", "Requests to keep inside the engine.", metrics.concurrency)
        yield _gauge("inside", "Requests inside the engine.", inside)
        yield _gauge("window_fill_ratio", "Requests inside the engine, of its window.", fill)
        if metrics.stats is not None:
            yield _gauge("engine_running", "Requests the engine says it runs.", metrics.stats.running)
            yield _gauge("engine_waiting", "Requests the engine says wait in it.", metrics.stats.waiting)
            yield _gauge("engine_kv_ratio", "How full the engine says its KV cache is.", metrics.stats.kv_share)
        yield _gauge("waiting", "Requests in hand and not yet inside.", self._feed.waiting_count)
        yield _gauge("slices", "Slices in hand.", self._feed.slice_count)
        yield _gauge("swap_last_seconds", "From stop-feed to ready, the last time.", metrics.swap_seconds_last)
        first = metrics.first_answer_seconds_last
        yield _gauge("swap_first_answer_seconds", "From stop-feed to the first answer, the last time.", first)
        loaded = GaugeMetricFamily("vbatch_runner_model_loaded", "The model on the device.", labels=["model"])
        if metrics.model:
            loaded.add_metric([metrics.model], 1)
        yield loaded

    def _counters(self) -> Iterator[Metric]:
        metrics = self._metrics
        requests = CounterMetricFamily("vbatch_runner_requests", "Requests by what came of them.", labels=["result"])
        requests.add_metric(["succeeded"], metrics.succeeded_count)
        requests.add_metric(["failed"], metrics.failed_count)
        requests.add_metric(["returned"], metrics.returned_count)
        yield requests
        tokens = CounterMetricFamily("vbatch_runner_tokens", "Tokens the engine reported.", labels=["kind"])
        tokens.add_metric(["input"], metrics.usage.input_tokens)
        tokens.add_metric(["output"], metrics.usage.output_tokens)
        tokens.add_metric(["cached"], metrics.usage.cached_tokens)
        tokens.add_metric(["reasoning"], metrics.usage.reasoning_tokens)
        yield tokens
        yield _counter("retries", "Requests sent again to a busy engine.", metrics.retried_count)
        yield _counter("chunks", "Chunks recorded.", metrics.chunk_count)
        yield _counter("chunk_bytes", "Bytes of recorded chunks.", metrics.chunk_bytes)
        yield _counter("engine_starts", "Engines that came up.", metrics.engine_start_count)
        yield _counter("engine_crashes", "Engines that died at work.", metrics.engine_crash_count)
        yield _counter("model_failures", "Engines that did not come up.", metrics.model_failed_count)
        yield _counter("swap_seconds", "Time between models, from stop-feed to ready.", metrics.swap_seconds)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"vbatch_runner_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"vbatch_runner_{name}", text, value=value)
