"""When the next API key expires, for Prometheus. No label names the key: `vbatch keys list` does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily, Metric

from vbatch.chassis.readings import Reading
from vbatch.gateway.core.access import Access
from vbatch.gateway.core.key_expiry import next_expiry


def key_reading(access: Access, now: Callable[[], datetime]) -> Reading:
    async def read() -> Iterable[Metric]:
        return list(key_metrics(next_expiry(access.keys.values(), now())))

    return read


def key_metrics(expiry: datetime | None) -> Iterator[Metric]:
    """The gauge has no value while no key expires."""
    text = "When the next API key expires that has no successor, in Unix time."
    gauge = GaugeMetricFamily("vbatch_api_key_expiry_timestamp_seconds", text)
    if expiry is not None:
        gauge.add_metric([], expiry.timestamp())
    yield gauge
