"""What Prometheus is told of requests."""

from __future__ import annotations

from msgspec import structs
from prometheus_client import CollectorRegistry

from vbatch.chassis.metrics import exposition
from vbatch.gateway.adapters.http.request_metrics import Answered, RequestMetrics
from vbatch.gateway.adapters.storage_metrics import storage_metrics
from vbatch.gateway.core.disk_guard import Space

ASK = Answered(
    request_id="req_1",
    method="GET",
    route="/v1/batches",
    status=200,
    seconds=0.2,
    first_byte_seconds=0.1,
    received_bytes=10,
    sent_bytes=500,
)


def registry_of(*answered: Answered) -> CollectorRegistry:
    registry = CollectorRegistry()
    metrics = RequestMetrics(registry)
    for each in answered:
        metrics.answered(each)
    return registry


def test_a_method_that_a_client_made_up_gets_no_label_of_its_own():
    registry = registry_of(ASK, structs.replace(ASK, method="BREW"), structs.replace(ASK, method="x" * 9_999))
    counted = {"method": "other", "route": "/v1/batches", "status": "200"}
    assert registry.get_sample_value("vbatch_http_requests_total", counted) == 2


def test_the_first_byte_is_told_apart_from_the_end():
    registry = registry_of(structs.replace(ASK, seconds=3_600.0))
    labels = {"method": "GET", "route": "/v1/batches"}
    assert registry.get_sample_value("vbatch_http_first_byte_seconds_sum", labels) == 0.1
    assert registry.get_sample_value("vbatch_http_request_seconds_sum", labels) == 3_600.0


def test_an_answer_that_never_began_has_no_first_byte():
    registry = registry_of(structs.replace(ASK, first_byte_seconds=None, status=499))
    labels = {"method": "GET", "route": "/v1/batches"}
    assert registry.get_sample_value("vbatch_http_first_byte_seconds_count", labels) is None


def test_refusals_are_counted_by_reason():
    registry = registry_of(ASK, structs.replace(ASK, status=429, refusal="rate_limited"))
    assert registry.get_sample_value("vbatch_http_refusals_total", {"reason": "rate_limited"}) == 1


def test_a_latency_names_its_request():
    body, _ = exposition(registry_of(ASK), "application/openmetrics-text; version=1.0.0")
    assert b'# {request_id="req_1"}' in body


def test_bytes_are_counted_by_route():
    registry = registry_of(ASK, ASK)
    assert registry.get_sample_value("vbatch_http_sent_bytes_total", {"route": "/v1/batches"}) == 1_000
    assert registry.get_sample_value("vbatch_http_received_bytes_total", {"route": "/v1/batches"}) == 20


def test_a_disk_is_told_with_its_size():
    free, size = storage_metrics({"files": Space("", 3, 10)})
    assert [(each.labels, each.value) for each in free.samples] == [({"place": "files"}, 3)]
    assert [(each.labels, each.value) for each in size.samples] == [({"place": "files"}, 10)]
