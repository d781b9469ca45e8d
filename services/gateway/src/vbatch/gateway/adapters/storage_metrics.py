"""How full the disks are that new work fills, for Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily, Metric

from vbatch.chassis.readings import Reading
from vbatch.gateway.adapters.disk_guard import Disk, HomeLimit
from vbatch.gateway.core.disk_guard import Space


def storage_reading(disks: Sequence[Disk | HomeLimit]) -> Reading:
    async def read() -> Iterable[Metric]:
        spaces = await asyncio.to_thread(lambda: {disk.name: disk.space() for disk in disks})
        return list(storage_metrics(spaces))

    return read


def storage_metrics(spaces: dict[str, Space]) -> Iterator[Metric]:
    free = GaugeMetricFamily("vbatch_storage_free_bytes", "Bytes free on a disk this server fills.", labels=["place"])
    size = GaugeMetricFamily("vbatch_storage_size_bytes", "Bytes of that disk.", labels=["place"])
    for name, space in spaces.items():
        free.add_metric([name], space.free_bytes)
        size.add_metric([name], space.total_bytes)
    yield from (free, size)
