"""Exposes the runner's counters as Prometheus metrics, read at each scrape."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from time import monotonic

from aiohttp import web
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from vbatch.chassis.readings import Reading
from vbatch.gpu_runner.core.distribution import Distribution
from vbatch.gpu_runner.core.engine_counters import COUNTERS, EngineCounters, engine_counters_in
from vbatch.gpu_runner.core.feed import Feed
from vbatch.gpu_runner.core.metrics import ModelCounts, RunnerMetrics

TEXT = "text/plain; version=0.0.4; charset=utf-8"
ENGINE_GAUGES = (
    ("num_requests_running", "engine_running", "Requests the engine says it runs."),
    ("num_requests_waiting", "engine_waiting", "Requests the engine says wait in it."),
    ("kv_cache_usage_perc", "engine_kv_ratio", "How full the engine says its KV cache is, from 0 to 1."),
)
ENGINE_COUNTERS = {
    "prompt_tokens": "Tokens of prompts the engine says it computed.",
    "generation_tokens": "Tokens the engine says it generated.",
    "prefix_cache_queries": "Tokens of prompts the engine looked for in its prefix cache.",
    "prefix_cache_hits": "Tokens of prompts the engine found in its prefix cache.",
    "num_preemptions": "Requests the engine put back for want of room in its KV cache.",
}


class RunnerCollector(Collector):
    """`clock` must be the clock that the metrics' times come from."""

    def __init__(self, metrics: RunnerMetrics, feed: Feed, clock: Callable[[], float] = monotonic) -> None:
        self._metrics = metrics
        self._feed = feed
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        yield from self._gauges()
        yield from self._counters()
        yield from self._of_models()
        yield from self._distributions()

    def _gauges(self) -> Iterator[Metric]:
        metrics, inside = self._metrics, self._feed.inside_count
        fill = inside / metrics.concurrency if metrics.concurrency else 0.0
        yield _gauge("window", "Requests to keep inside the engine.", metrics.concurrency)
        yield _gauge("inside", "Requests inside the engine.", inside)
        yield _gauge("window_fill_ratio", "Requests inside the engine, of its window.", fill)
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
        yield _counter("retries", "Requests sent again to a busy engine.", metrics.retried_count)
        yield _counter("chunks", "Chunks recorded.", metrics.chunk_count)
        yield _counter("chunk_bytes", "Bytes of recorded chunks.", metrics.chunk_bytes)
        yield _counter("engine_starts", "Engines that came up.", metrics.engine_start_count)
        yield _counter("engine_crashes", "Engines that died at work.", metrics.engine_crash_count)
        yield _counter("model_failures", "Engines that did not come up.", metrics.model_failed_count)
        yield _counter("swap_seconds", "Time between models, from stop-feed to ready.", metrics.swap_seconds)
        text = "Times that an engine out of memory was started with less."
        yield _counter("profile_lowered", text, metrics.profile_lowered_count)
        yield self._time_shares()

    def _time_shares(self) -> Metric:
        text = "What the runner did with its time; all states together are its time since start."
        family = CounterMetricFamily("vbatch_runner_state_seconds", text, labels=["state"])
        if self._metrics.time_shares is not None:
            for activity, seconds in self._metrics.time_shares.seconds(self._clock()).items():
                family.add_metric([activity], seconds)
        return family

    def _of_models(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "vbatch_runner_requests", "Requests by what came of them.", labels=["model", "result"]
        )
        tokens = CounterMetricFamily("vbatch_runner_tokens", "Tokens the engine reported.", labels=["model", "kind"])
        seconds = HistogramMetricFamily(
            "vbatch_runner_request_seconds", "Time of a request inside the engine.", labels=["model"]
        )
        for model, metrics in list(self._metrics.models.items()):
            _add_requests(requests, model, metrics)
            _add_tokens(tokens, model, metrics)
            _add(seconds, [model], metrics.request_seconds)
        yield from (requests, tokens, seconds)

    def _distributions(self) -> Iterator[Metric]:
        text = "From the closing of a chunk, or another event, to its place in the log."
        publish = HistogramMetricFamily("vbatch_runner_publish_seconds", text)
        _add(publish, [], self._metrics.publish_seconds)
        yield publish
        text = "From stop-feed, or the first wish for a model, until its engine answers."
        load = HistogramMetricFamily("vbatch_runner_load_seconds", text, labels=["reason"])
        for reason, distribution in self._metrics.load_seconds.items():
            _add(load, [reason], distribution)
        yield load


def engine_reading(exposition: Callable[[], Awaitable[bytes]]) -> Reading:
    """What the loaded engine reports about itself; nothing while no engine is loaded."""

    async def read() -> Iterable[Metric]:
        return list(engine_metrics(engine_counters_in(await exposition())))

    return read


def engine_page(exposition: Callable[[], Awaitable[bytes]]) -> web.RouteDef:
    """`GET /metrics/engine`: all metrics of the engine, which Prometheus cannot reach behind the engine's socket."""

    async def page(_request: web.Request) -> web.Response:
        return web.Response(body=await exposition(), headers={"Content-Type": TEXT})

    return web.get("/metrics/engine", page)


def engine_metrics(counters: EngineCounters) -> Iterator[Metric]:
    for described, name, text in ENGINE_GAUGES:
        if described in counters.values:
            yield _gauge(name, text, counters.values[described])
    for described in COUNTERS:
        if described in counters.values:
            name = f"engine_{described.removeprefix('num_')}"
            yield _counter(name, ENGINE_COUNTERS[described], counters.values[described])


def _add_requests(family: CounterMetricFamily, model: str, metrics: ModelCounts) -> None:
    family.add_metric([model, "succeeded"], metrics.succeeded_count)
    family.add_metric([model, "failed"], metrics.failed_count)
    family.add_metric([model, "returned"], metrics.returned_count)


def _add_tokens(family: CounterMetricFamily, model: str, metrics: ModelCounts) -> None:
    family.add_metric([model, "input"], metrics.usage.input_tokens)
    family.add_metric([model, "output"], metrics.usage.output_tokens)
    family.add_metric([model, "cached"], metrics.usage.cached_tokens)
    family.add_metric([model, "reasoning"], metrics.usage.reasoning_tokens)


def _add(family: HistogramMetricFamily, labels: list[str], distribution: Distribution) -> None:
    family.add_metric(labels, buckets=distribution.cumulative(), sum_value=distribution.total)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"vbatch_runner_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"vbatch_runner_{name}", text, value=value)
