"""The device of this machine: an NVIDIA GPU if its driver answers, otherwise the CPU."""

from __future__ import annotations

import asyncio
import os
import shutil

from vbatch.gpu_runner.adapters.gpus import read_gpus
from vbatch.gpu_runner.adapters.machine import memory_left_bytes, memory_limit_bytes, read_processor
from vbatch.gpu_runner.core.command import Device, DeviceKind

MIB = 1024 * 1024
QUERY_SECONDS_MAX = 10.0
MEMORY_POLL_SECONDS = 0.2
MEMORY_TOLERANCE_BYTES = 256 * MIB


class DeviceTrouble(Exception):
    """Raised when the driver's tool exists but does not answer as expected."""


async def detect(index: int = 0, cpu_features: str = "") -> Device:
    """Return the GPU with this index if nvidia-smi shows one, otherwise the processor with the machine's memory, or
    with the part of it that a cgroup allows. `cpu_features`, if given, replace those that the processor reports."""
    if shutil.which("nvidia-smi") and (answer := await _query(index, "name,memory.total")):
        name, total_mib = (part.strip() for part in answer.rsplit(",", 1))
        found = await asyncio.to_thread(read_gpus)
        gpu = next((gpu for gpu in found.gpus if gpu.index == index), None)
        return Device(DeviceKind.NVIDIA, name, int(total_mib) * MIB, index, gpu=gpu)
    processor = read_processor(cpu_features)
    cores = tuple(core.number for core in processor.logical_cores)
    name = processor.name or "cpu"
    return Device(DeviceKind.CPU, name, machine_memory_bytes(), cores=cores, processor=processor)


async def free_bytes(device: Device) -> int | None:
    """Return the free memory of a GPU; None for a CPU, where the kernel frees memory."""
    if device.kind is DeviceKind.CPU:
        return None
    answer = await _query(device.index, "memory.free")
    return int(answer) * MIB if answer.isdigit() else None


def machine_memory_bytes() -> int:
    """The most memory that this process may use: the machine's, or less if a cgroup limits it."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(machine, memory_limit_bytes() or machine)


def machine_free_bytes() -> int:
    """The machine's memory that is free or can be freed at once (proc_meminfo(5)), or less if a cgroup limits it."""
    with open("/proc/meminfo") as file:
        fields = dict(line.split(":", 1) for line in file)
    free, left = int(fields["MemAvailable"].split()[0]) * 1024, memory_left_bytes()
    return free if left is None else min(free, left)


async def wait_until_free(device: Device, wanted_bytes: int | None, seconds_max: float) -> bool:
    """Whether about `wanted_bytes` became free in time. The driver frees memory some time after the process has
    ended."""
    if wanted_bytes is None:
        return True
    try:
        async with asyncio.timeout(seconds_max):
            while (free := await free_bytes(device)) is not None:
                if free >= wanted_bytes - MEMORY_TOLERANCE_BYTES:
                    return True
                await asyncio.sleep(MEMORY_POLL_SECONDS)
    except TimeoutError:
        return False
    return True


async def _query(index: int, fields: str) -> str:
    """Return one line of values without units; empty if there is no such GPU or the driver is not loaded."""
    command = ("nvidia-smi", "-i", str(index), f"--query-gpu={fields}", "--format=csv,noheader,nounits")
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(QUERY_SECONDS_MAX):
            output, _ = await process.communicate()
    except TimeoutError as error:
        process.kill()
        await process.wait()
        raise DeviceTrouble(f"nvidia-smi gave no answer within {QUERY_SECONDS_MAX:g} s") from error
    return output.decode().strip() if process.returncode == 0 else ""
