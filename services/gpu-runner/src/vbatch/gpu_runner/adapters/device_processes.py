"""Which processes hold memory of a GPU, as its driver reports them: the runner's own engines, and everything else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Protocol

import psutil
import pynvml

from vbatch.contracts.lane import DeviceProcess

PROCESSES_MAX = 64
"""Only those that hold most are reported."""
NAME_CHARS_MAX = 100
UNKNOWN = "unknown"
"""The name of a process that this user, or this container, cannot see."""


class Holder(Protocol):
    """A process as NVML reports it; `usedGpuMemory` is None if the driver does not tell."""

    @property
    def pid(self) -> int: ...
    @property
    def usedGpuMemory(self) -> int | None: ...


class Nvml(Protocol):
    """The functions of the library that are used, under their own names."""

    def nvmlInit(self) -> object: ...
    def nvmlDeviceGetHandleByIndex(self, index: int) -> object: ...
    def nvmlDeviceGetComputeRunningProcesses(self, handle: object) -> Sequence[Holder]: ...
    def nvmlDeviceGetGraphicsRunningProcesses(self, handle: object) -> Sequence[Holder]: ...


def device_processes(index: int, nvml: Nvml = pynvml) -> tuple[DeviceProcess, ...] | None:
    """Return the processes, those that hold most first; None if there is no driver or no such card. Blocks."""
    try:
        nvml.nvmlInit()
        card = nvml.nvmlDeviceGetHandleByIndex(index)
        found = [*nvml.nvmlDeviceGetComputeRunningProcesses(card), *nvml.nvmlDeviceGetGraphicsRunningProcesses(card)]
    except pynvml.NVMLError:
        return None
    holders = {holder.pid: holder for holder in found}  # a process that computes and draws is listed twice
    most_first = sorted(holders.values(), key=lambda holder: -(holder.usedGpuMemory or 0))
    return tuple(_described(holder) for holder in most_first[:PROCESSES_MAX])


def _described(holder: Holder) -> DeviceProcess:
    try:
        process = psutil.Process(holder.pid)
        name, is_ours = process.name(), os.getpid() in (parent.pid for parent in process.parents())
    except psutil.Error:
        name, is_ours = UNKNOWN, False
    memory_bytes = None if holder.usedGpuMemory is None else int(holder.usedGpuMemory)
    return DeviceProcess(pid=holder.pid, name=name[:NAME_CHARS_MAX], memory_bytes=memory_bytes, is_ours=is_ours)
