"""What a runner counts about itself, and what Prometheus gets of it."""

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from vbatch.contracts.events import Outcome, Usage
from vbatch.gpu_runner.adapters.gpu_metrics import Gpu, GpuReading, gpu_metrics
from vbatch.gpu_runner.adapters.metrics import RunnerCollector, engine_metrics
from vbatch.gpu_runner.core.distribution import Distribution
from vbatch.gpu_runner.core.engine_counters import engine_counters_in
from vbatch.gpu_runner.core.feed import Feed
from vbatch.gpu_runner.core.metrics import MODELS_MAX, OTHER_MODELS, RunnerMetrics, SwapReason
from vbatch.gpu_runner.core.time_shares import Activity, TimeShares

VLLM_PAGE = b"""\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="a"} 3.0
vllm:num_requests_running{engine="1",model_name="a"} 2.0
vllm:kv_cache_usage_perc{engine="0",model_name="a"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="a"} 0.75
vllm:prefix_cache_queries_total{engine="0",model_name="a"} 1000.0
vllm:prefix_cache_queries_created{engine="0",model_name="a"} 1.7e+09
vllm:prefix_cache_hits_total{engine="0",model_name="a"} 640.0
"""


def described(metrics: RunnerMetrics, name: str, labels: dict[str, str]) -> float | None:
    registry = CollectorRegistry()
    registry.register(RunnerCollector(metrics, Feed(), lambda: 10.0))
    return registry.get_sample_value(name, labels)


def test_requests_are_told_by_model_and_result():
    metrics = RunnerMetrics()
    metrics.count(Outcome(line=1, custom_id="a", status_code=200, usage=Usage(input_tokens=7), seconds=0.2), "llama")
    metrics.count(Outcome(line=2, custom_id="b", status_code=400, seconds=0.1), "llama")
    metrics.count_returned(3, "qwen")
    assert described(metrics, "vbatch_runner_requests_total", {"model": "llama", "result": "succeeded"}) == 1
    assert described(metrics, "vbatch_runner_requests_total", {"model": "llama", "result": "failed"}) == 1
    assert described(metrics, "vbatch_runner_requests_total", {"model": "qwen", "result": "returned"}) == 3
    assert described(metrics, "vbatch_runner_tokens_total", {"model": "llama", "kind": "input"}) == 7
    assert described(metrics, "vbatch_runner_request_seconds_bucket", {"model": "llama", "le": "0.1"}) == 1


def test_models_beyond_the_bound_share_one_label():
    metrics = RunnerMetrics()
    for number in range(MODELS_MAX + 5):
        metrics.count_returned(1, f"model-{number}")
    assert len(metrics.models) == MODELS_MAX + 1
    assert metrics.models[OTHER_MODELS].returned_count == 5


@pytest.mark.parametrize(("value", "bucket"), [(1.0, "1.0"), (1.5, "2.0"), (9.0, "+Inf")])
def test_a_value_falls_into_the_first_bound_that_is_not_below_it(value: float, bucket: str):
    distribution = Distribution((1.0, 2.0))
    distribution.observe(value)
    assert next(name for name, count in distribution.cumulative() if count) == bucket


def test_the_states_of_a_runner_add_up_to_its_time():
    shares = TimeShares(began_at=0.0)
    shares.turn_to(Activity.LOADING, 2.0)
    shares.turn_to(Activity.BUSY, 5.0)
    seconds = shares.seconds(9.0)
    assert (seconds[Activity.IDLE], seconds[Activity.LOADING], seconds[Activity.BUSY]) == (2.0, 3.0, 4.0)
    assert sum(seconds.values()) == 9.0


def test_a_swap_is_told_with_its_reason():
    metrics = RunnerMetrics()
    for model in ("llama", "qwen", "qwen"):
        metrics.model = model
        metrics.count_swap(0.0, 4.0)
    reasons = {reason: metrics.load_seconds[reason].total for reason in SwapReason}
    assert reasons == {SwapReason.FIRST: 4.0, SwapReason.OTHER_MODEL: 4.0, SwapReason.RESTART: 4.0}


def test_what_vllm_tells_is_summed_over_its_engines_and_the_fullest_cache_counts():
    values = engine_counters_in(VLLM_PAGE).values
    assert values["num_requests_running"] == 5.0
    assert values["kv_cache_usage_perc"] == 0.75
    assert (values["prefix_cache_queries"], values["prefix_cache_hits"]) == (1000.0, 640.0)


def test_what_the_engine_does_not_tell_is_absent():
    names = {metric.name for metric in engine_metrics(engine_counters_in(VLLM_PAGE))}
    assert "vbatch_runner_engine_running" in names and "vbatch_runner_engine_waiting" not in names


def names_of(metrics: GpuReading) -> dict[str, Metric]:
    return {metric.name: metric for metric in gpu_metrics(metrics)}


def test_what_a_card_does_not_tell_is_absent_and_never_zero():
    told_metrics = names_of(GpuReading(power_watts=70.0, throttled={"thermal": True}))
    assert told_metrics["vbatch_gpu_power_watts"].samples[0].value == 70.0
    assert told_metrics["vbatch_gpu_throttled"].samples[0].labels == {"reason": "thermal"}
    assert "vbatch_gpu_temperature_celsius" not in told_metrics


def test_a_card_that_fell_off_the_bus_is_told_as_lost():
    assert names_of(GpuReading(is_lost=True))["vbatch_gpu_lost"].samples[0].value == 1.0


def test_a_card_that_is_not_there_is_no_trouble():
    assert Gpu(index=63).read() is None
