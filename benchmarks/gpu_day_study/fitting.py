"""How much memory a model takes on the device, beside what was calculated, and what the driver reports while it
answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from vbatch.contracts.models import ModelDefinition
from vbatch.gpu_runner.adapters.device import free_bytes
from vbatch.gpu_runner.adapters.engine.pool.model_cache import ModelCache
from vbatch.gpu_runner.adapters.gpu_metrics import Gpu, GpuReading
from vbatch.gpu_runner.core.command import Device
from vbatch.gpu_runner.flows.tuning import measured_rate
from vbatch.gpu_runner.ports import Engine

READING_SECONDS = 0.5
WARM_UP_REQUESTS = 256


@dataclass(frozen=True)
class Fitted:
    """Bytes on the device; None where they are not known. `readings` were taken while the engine was full."""

    calculated_bytes: int | None
    measured_bytes: int | None
    start_seconds: float
    requests_per_second: float
    readings: Sequence[GpuReading]

    @property
    def watts_max(self) -> float | None:
        return max((reading.power_watts for reading in self.readings if reading.power_watts is not None), default=None)

    @property
    def utilization_max(self) -> float | None:
        shares = (reading.utilization_ratio for reading in self.readings)
        return max((share for share in shares if share is not None), default=None)


async def fitted(launcher: ModelCache, definition: ModelDefinition, device: Device, requests: int) -> Fitted:
    """Load the model, measure its memory, and let it answer. Raises EngineFailed."""
    clock = asyncio.get_running_loop().time
    need, before, began = await launcher.launcher.need(definition), await free_bytes(device), clock()
    engine = await launcher.launch(definition)
    start_seconds = clock() - began
    try:
        after = await free_bytes(device)
        await measured_rate(engine, WARM_UP_REQUESTS)
        rate, readings = await _watched_rate(engine, requests, Gpu(device.index))
    finally:
        await engine.stop()
        await launcher.close()
    measured = None if before is None or after is None else before - after
    return Fitted(need.device_bytes, measured, start_seconds, rate, readings)


async def _watched_rate(engine: Engine, requests: int, gpu: Gpu) -> tuple[float, list[GpuReading]]:
    readings: list[GpuReading] = []
    reading = asyncio.create_task(_read(gpu, readings))
    try:
        return await measured_rate(engine, requests), readings
    finally:
        reading.cancel()
        await asyncio.wait([reading])


async def _read(gpu: Gpu, readings: list[GpuReading]) -> None:
    while True:
        if (found := await asyncio.to_thread(gpu.read)) is not None:
            readings.append(found)
        await asyncio.sleep(READING_SECONDS)
