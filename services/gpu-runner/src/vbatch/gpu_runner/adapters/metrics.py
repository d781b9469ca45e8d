"""The runner's figures as Prometheus metrics, read when they are scraped."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from vbatch.gpu_runner.core.feed import Feed
from vbatch.gpu_runner.core.figures import Figures


class RunnerCollector(Collector):
    def __init__(self, figures: Figures, feed: Feed) -> None:
        self._figures = figures
        self._feed = feed

    def collect(self) -> Iterator[Metric]:
        yield from self._gauges()
        yield from self._counters()

    def _gauges(self) -> Iterator[Metric]:
        figures, inside = self._figures, self._feed.inside_count
        fill = inside / figures.window if figures.window else 0.0
        yield _gauge("window", "Requests to keep inside the engine.", figures.window)
        yield _gauge("inside", "Requests inside the engine.", inside)
        yield _gauge("window_fill_ratio", "Requests inside the engine, of its window.", fill)
        if figures.load is not None:
            yield _gauge("engine_running", "Requests the engine says it runs.", figures.load.running)
            yield _gauge("engine_waiting", "Requests the engine says wait in it.", figures.load.waiting)
            yield _gauge("engine_kv_ratio", "How full the engine says its KV cache is.", figures.load.kv_share)
        yield _gauge("waiting", "Requests in hand and not yet inside.", self._feed.waiting_count)
        yield _gauge("slices", "Slices in hand.", self._feed.slice_count)
        yield _gauge("swap_last_seconds", "From stop-feed to ready, the last time.", figures.swap_seconds_last)
        first = figures.first_answer_seconds_last
        yield _gauge("swap_first_answer_seconds", "From stop-feed to the first answer, the last time.", first)
        loaded = GaugeMetricFamily("vbatch_runner_model_loaded", "The model on the device.", labels=["model"])
        if figures.model:
            loaded.add_metric([figures.model], 1)
        yield loaded

    def _counters(self) -> Iterator[Metric]:
        figures = self._figures
        requests = CounterMetricFamily("vbatch_runner_requests", "Requests by what came of them.", labels=["result"])
        requests.add_metric(["succeeded"], figures.succeeded_count)
        requests.add_metric(["failed"], figures.failed_count)
        requests.add_metric(["returned"], figures.returned_count)
        yield requests
        tokens = CounterMetricFamily("vbatch_runner_tokens", "Tokens the engine reported.", labels=["kind"])
        tokens.add_metric(["input"], figures.usage.input_tokens)
        tokens.add_metric(["output"], figures.usage.output_tokens)
        tokens.add_metric(["cached"], figures.usage.cached_tokens)
        tokens.add_metric(["reasoning"], figures.usage.reasoning_tokens)
        yield tokens
        yield _counter("retries", "Requests sent again to a busy engine.", figures.retried_count)
        yield _counter("chunks", "Chunks recorded.", figures.chunk_count)
        yield _counter("chunk_bytes", "Bytes of recorded chunks.", figures.chunk_bytes)
        yield _counter("engine_starts", "Engines that came up.", figures.engine_start_count)
        yield _counter("engine_crashes", "Engines that died at work.", figures.engine_crash_count)
        yield _counter("model_failures", "Engines that did not come up.", figures.model_failed_count)
        yield _counter("swap_seconds", "Time between models, from stop-feed to ready.", figures.swap_seconds)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"vbatch_runner_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"vbatch_runner_{name}", text, value=value)
