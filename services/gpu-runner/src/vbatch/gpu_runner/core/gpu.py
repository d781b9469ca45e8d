"""The properties of an NVIDIA GPU that decide how a model runs best on it. This module does no I/O."""

from __future__ import annotations

from dataclasses import dataclass

BFLOAT16_CAPABILITY = (8, 0)
"""Ampere (vllm/platforms/cuda.py, supported_dtypes)."""
FP8_CAPABILITY = (8, 9)
"""Ada and Hopper (vllm/platforms/cuda.py, supports_fp8)."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU as NVML describes it. Values that the driver does not report are None."""

    index: int
    name: str
    memory_bytes: int
    compute_capability: tuple[int, int]
    free_bytes: int | None = None
    power_limit_watts: float | None = None
    power_default_watts: float | None = None
    has_mig: bool = False
    nvlink_count: int = 0
    process_count: int = 0

    @property
    def has_bfloat16(self) -> bool:
        return self.compute_capability >= BFLOAT16_CAPABILITY

    @property
    def has_fp8(self) -> bool:
        return self.compute_capability >= FP8_CAPABILITY

    @property
    def capability(self) -> str:
        return "{}.{}".format(*self.compute_capability)
