"""The GPU's metrics, read from its driver through NVML. A value without a driver or a sensor is absent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import pynvml
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from vbatch.chassis.readings import Reading

T = TypeVar("T")

THROTTLE_REASONS = {
    "power": pynvml.nvmlClocksThrottleReasonSwPowerCap | pynvml.nvmlClocksThrottleReasonHwPowerBrakeSlowdown,
    "thermal": pynvml.nvmlClocksThrottleReasonSwThermalSlowdown | pynvml.nvmlClocksThrottleReasonHwThermalSlowdown,
    "hardware": pynvml.nvmlClocksThrottleReasonHwSlowdown,
}
"""The bits of NVML's mask for reasons that slow the clocks although there is work."""


@dataclass(frozen=True, slots=True)
class GpuReading:
    """What one card reports, in base units; None for a value that it does not report. `is_lost`: the card fell off the
    bus."""

    is_lost: bool = False
    memory_used_bytes: float | None = None
    memory_total_bytes: float | None = None
    utilization_ratio: float | None = None
    power_watts: float | None = None
    power_limit_watts: float | None = None
    energy_joules: float | None = None
    temperature_celsius: float | None = None
    ecc_errors: float | None = None
    throttled: Mapping[str, bool] = field(default_factory=dict)


class Gpu:
    """One card, by its index as nvidia-smi counts. The connection to its driver is made once and kept: making it can
    take long, while a reading takes some milliseconds."""

    def __init__(self, index: int) -> None:
        self._index = index
        self._is_connected = False

    def read(self) -> GpuReading | None:
        """Read the card; None if there is no driver or no such card. Blocks."""
        try:
            self._connect()
            return _reading(pynvml.nvmlDeviceGetHandleByIndex(self._index))
        except pynvml.NVMLError_GpuIsLost:
            return GpuReading(is_lost=True)
        except pynvml.NVMLError:
            return None

    def _connect(self) -> None:
        if not self._is_connected:
            pynvml.nvmlInit()
            self._is_connected = True


def gpu_reading(gpu: Gpu) -> Reading:
    """The GPU's metrics; empty if no driver answers."""

    async def read() -> Iterable[Metric]:
        metrics = await asyncio.to_thread(gpu.read)
        return [] if metrics is None else list(gpu_metrics(metrics))

    return read


async def power_watts(gpu: Gpu) -> float | None:
    """The power that the card draws, in watts; None if it does not report it."""
    reading = await asyncio.to_thread(gpu.read)
    return reading.power_watts if reading is not None else None


def gpu_metrics(metrics: GpuReading) -> Iterator[Metric]:
    yield _gauge("lost", "1 when the card no longer answers its driver.", float(metrics.is_lost))
    yield from _gauges(metrics)
    yield from _counters(metrics)
    yield _throttling(metrics)


def _gauges(metrics: GpuReading) -> Iterator[Metric]:
    utilization = "Share of the last moment in which the card computed, 0 to 1."
    gauges = (
        ("memory_used_bytes", "Memory in use on the card.", metrics.memory_used_bytes),
        ("memory_total_bytes", "Memory of the card.", metrics.memory_total_bytes),
        ("utilization_ratio", utilization, metrics.utilization_ratio),
        ("power_watts", "Power the card draws.", metrics.power_watts),
        ("power_limit_watts", "Power the card may draw.", metrics.power_limit_watts),
        ("temperature_celsius", "Temperature of the card.", metrics.temperature_celsius),
    )
    yield from (_gauge(name, text, value) for name, text, value in gauges if value is not None)


def _counters(metrics: GpuReading) -> Iterator[Metric]:
    counters = (
        ("energy_joules", "Energy the card drew since its driver was loaded.", metrics.energy_joules),
        ("ecc_errors", "Uncorrected memory errors since the driver was loaded.", metrics.ecc_errors),
    )
    yield from (_counter(name, text, value) for name, text, value in counters if value is not None)


def _throttling(metrics: GpuReading) -> Metric:
    throttled = GaugeMetricFamily("vbatch_gpu_throttled", "1 while this slows the card down.", labels=["reason"])
    for reason, is_so in metrics.throttled.items():
        throttled.add_metric([reason], is_so)
    return throttled


def _reading(card: object) -> GpuReading:
    memory = _told(lambda: pynvml.nvmlDeviceGetMemoryInfo(card))
    return GpuReading(
        memory_used_bytes=memory and memory.used,
        memory_total_bytes=memory and memory.total,
        utilization_ratio=_told(lambda: pynvml.nvmlDeviceGetUtilizationRates(card).gpu / 100),
        power_watts=_told(lambda: pynvml.nvmlDeviceGetPowerUsage(card) / 1_000),
        power_limit_watts=_told(lambda: pynvml.nvmlDeviceGetEnforcedPowerLimit(card) / 1_000),
        energy_joules=_told(lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(card) / 1_000),
        temperature_celsius=_told(lambda: pynvml.nvmlDeviceGetTemperature(card, pynvml.NVML_TEMPERATURE_GPU)),
        ecc_errors=_told(
            lambda: pynvml.nvmlDeviceGetTotalEccErrors(
                card, pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC
            )
        ),
        throttled=_throttled(_told(lambda: pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(card))),
    )


def _throttled(mask: int | None) -> Mapping[str, bool]:
    return {} if mask is None else {reason: bool(mask & bits) for reason, bits in THROTTLE_REASONS.items()}


def _told(ask: Callable[[], T]) -> T | None:
    """Return the value; None if this card or driver does not report it."""
    try:
        return ask()
    except pynvml.NVMLError_GpuIsLost:
        raise
    except pynvml.NVMLError:
        return None


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"vbatch_gpu_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"vbatch_gpu_{name}", text, value=value)
