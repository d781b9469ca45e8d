"""What NVIDIA's driver reports about the GPUs, through its management library (NVML)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

import pynvml

from vbatch.gpu_runner.core.gpu import Gpu

T = TypeVar("T")

GPUS_MAX = 64
NVLINKS_MAX = 18
"""The most NVLinks of one GPU (nvml.h, NVML_NVLINK_MAX_LINKS)."""
MILLIWATTS = 1000.0


class Memory(Protocol):
    """A GPU's memory in bytes."""

    @property
    def total(self) -> int: ...
    @property
    def free(self) -> int: ...


class Nvml(Protocol):
    """The functions of the library that are used, under their own names."""

    def nvmlInit(self) -> object: ...
    def nvmlShutdown(self) -> object: ...
    def nvmlSystemGetDriverVersion(self) -> str: ...
    def nvmlSystemGetCudaDriverVersion(self) -> int: ...
    def nvmlDeviceGetCount(self) -> int: ...
    def nvmlDeviceGetHandleByIndex(self, index: int) -> object: ...
    def nvmlDeviceGetName(self, handle: object) -> str: ...
    def nvmlDeviceGetMemoryInfo(self, handle: object) -> Memory: ...
    def nvmlDeviceGetCudaComputeCapability(self, handle: object) -> tuple[int, int]: ...
    def nvmlDeviceGetPowerManagementLimit(self, handle: object) -> int: ...
    def nvmlDeviceGetPowerManagementDefaultLimit(self, handle: object) -> int: ...
    def nvmlDeviceGetMigMode(self, handle: object) -> Sequence[int]: ...
    def nvmlDeviceGetNvLinkState(self, handle: object, link: int) -> int: ...
    def nvmlDeviceGetComputeRunningProcesses(self, handle: object) -> Sequence[object]: ...


@dataclass(frozen=True, slots=True)
class Gpus:
    """The GPUs of this machine. `trouble` is the reason why the driver reports nothing; empty if it reports. `cuda` is
    the newest version that it runs, such as 12.8."""

    gpus: tuple[Gpu, ...] = ()
    driver: str = ""
    cuda: str = ""
    trouble: str = ""


def read_gpus(nvml: Nvml = pynvml) -> Gpus:
    """All GPUs of this machine; none, with the reason, if there is no driver or it does not answer."""
    try:
        with _opened(nvml):
            version = nvml.nvmlSystemGetCudaDriverVersion()
            count = min(nvml.nvmlDeviceGetCount(), GPUS_MAX)
            gpus = tuple(_gpu(nvml, index) for index in range(count))
            return Gpus(gpus, nvml.nvmlSystemGetDriverVersion(), f"{version // 1000}.{version % 1000 // 10}")
    except pynvml.NVMLError as error:
        return Gpus(trouble=str(error))


@contextmanager
def _opened(nvml: Nvml) -> Iterator[None]:
    nvml.nvmlInit()
    try:
        yield
    finally:
        nvml.nvmlShutdown()


def _gpu(nvml: Nvml, index: int) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
    limit = _told(lambda: nvml.nvmlDeviceGetPowerManagementLimit(handle))
    default = _told(lambda: nvml.nvmlDeviceGetPowerManagementDefaultLimit(handle))
    mig = _told(lambda: nvml.nvmlDeviceGetMigMode(handle))
    return Gpu(
        index=index,
        name=nvml.nvmlDeviceGetName(handle),
        memory_bytes=int(memory.total),
        compute_capability=(major, minor),
        free_bytes=int(memory.free),
        power_limit_watts=None if limit is None else limit / MILLIWATTS,
        power_default_watts=None if default is None else default / MILLIWATTS,
        has_mig=bool(mig and mig[0]),
        nvlink_count=sum(_is_linked(nvml, handle, link) for link in range(NVLINKS_MAX)),
        process_count=len(_told(lambda: nvml.nvmlDeviceGetComputeRunningProcesses(handle)) or ()),
    )


def _is_linked(nvml: Nvml, handle: object, link: int) -> bool:
    return bool(_told(lambda: nvml.nvmlDeviceGetNvLinkState(handle, link)))


def _told(ask: Callable[[], T]) -> T | None:
    """Return the value; None if this GPU does not have it or this driver does not report it."""
    try:
        return ask()
    except pynvml.NVMLError:
        return None
