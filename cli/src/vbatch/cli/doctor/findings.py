"""What the facts mean for running models here: each finding is a sentence, with its fix if there is one."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

import msgspec

from vbatch.cli.doctor.facts import Disk, Engine, Fleet, Machine, Memory, Port
from vbatch.contracts.event_text import amount, size
from vbatch.gpu_runner.adapters.gpus import Gpus
from vbatch.gpu_runner.core.choices import BFLOAT16, DTYPE, has_share, processor_choices
from vbatch.gpu_runner.core.fit import CPU_OVERHEAD_BYTES, CPU_SHARE_MAX, GPU_OVERHEAD_BYTES, GPU_UTILIZATION_DEFAULT
from vbatch.gpu_runner.core.gpu import Gpu
from vbatch.gpu_runner.core.processor import Feature, Processor

CACHE_BYTES = 1 << 30
"""The smallest KV cache that is useful."""
GIB = 1 << 30
PROCESSORS_MIN = 2.0
MEMORY_BYTES_MIN = 6 * GIB
"""For the demo's two models and the server around them."""
SYNC_SECONDS_GOOD, SYNC_SECONDS_BAD = 0.005, 0.025
FREE_BYTES_MIN = 10 * GIB
NETWORK_DISKS = ("nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs")
CUDA_MIN, DRIVER_MIN = (13, 0), 580
"""The versions for which the pinned PyTorch of the GPU engine is built (deploy/engine/requirements-gpu.lock)."""
BUSY_SHARE = 0.1
POWER_SHARE_MIN = 0.9
SERVERS_NAMED_MAX = 4
ENGINES = {"cpu": "processor", "gpu": "GPU"}
VECTORS = frozenset({Feature.AVX2, Feature.NEON})
"""vLLM's CPU kernels need one of these."""


class Level(StrEnum):
    GOOD = "good"
    NOTE = "note"
    BAD = "bad"


class Finding(msgspec.Struct, frozen=True):
    """`fix` says what to do, and is empty if there is nothing to do."""

    topic: str
    level: Level
    says: str
    fix: str = ""


def findings(machine: Machine) -> list[Finding]:
    """Return all findings, in the order of the page."""
    return [
        *_gpus(machine.gpus, machine.engine, has_hardware=machine.has_nvidia_hardware),
        *_processor(machine.processor, has_gpu=bool(machine.gpus.gpus)),
        *_memory(machine.memory),
        *_models(machine),
        *_disk(machine.disk),
        *_ports(machine.ports, is_running=machine.is_running),
        *_clock(machine.has_true_clock),
        *_engine(machine.engine),
        *_fleets(machine.fleets),
    ]


def _fleets(fleets: tuple[Fleet, ...]) -> Iterator[Finding]:
    for fleet in fleets:
        silent = [server for server in fleet.servers if server.trouble]
        says = (
            f"{fleet.model} runs elsewhere: {amount(len(fleet.servers), 'replica')}, {len(silent)} without an answer."
        )
        if not silent:
            yield Finding("fleet", Level.GOOD, says.replace("0 without an answer", "and each answers"))
            continue
        details = "; ".join(f"{server.name}: {server.trouble}" for server in silent[:SERVERS_NAMED_MAX])
        level = Level.BAD if len(silent) == len(fleet.servers) else Level.NOTE
        yield Finding("fleet", level, f"{says} {details}", "Start them, or change base_urls in models.toml")


def _gpus(found: Gpus, engine: Engine, *, has_hardware: bool) -> Iterator[Finding]:
    if not found.gpus:
        yield _no_gpu(found, has_hardware=has_hardware)
        return
    for gpu in found.gpus:
        yield from _gpu(gpu, found)
    yield from _gpu_software(found, engine)
    if len(found.gpus) > 1:
        says = f"There are {len(found.gpus)} GPUs; one runner uses one of them."
        fix = "Start a runner for each of the others: docs/operations.md, VBATCH_GPU_RUNNER_GPU_INDEX"
        yield Finding("gpu", Level.NOTE, says, fix)


def _gpu_software(found: Gpus, engine: Engine) -> Iterator[Finding]:
    if _version(found.cuda) < CUDA_MIN:
        says = f"The driver runs CUDA {found.cuda} at most; vLLM here is built for {CUDA_MIN[0]}.{CUDA_MIN[1]}."
        yield Finding("gpu", Level.BAD, says, f"Install NVIDIA's driver {DRIVER_MIN} or newer")
    if engine.device == "cpu":
        fix = "Install vLLM for the GPU: ENGINE_DEVICE=gpu ./taskw setup:engine"
        yield Finding("gpu", Level.BAD, "vLLM is installed for the processor, so the GPU would stay idle.", fix)


def _no_gpu(found: Gpus, *, has_hardware: bool) -> Finding:
    if not has_hardware:
        return Finding("gpu", Level.NOTE, "There is no NVIDIA GPU here: models run on the processor.")
    says = f"There is an NVIDIA GPU, but its driver does not answer ({found.trouble})."
    fix = "Install the driver (Ubuntu: sudo ubuntu-drivers install) and restart; in a container add --gpus all"
    return Finding("gpu", Level.BAD, says, fix)


def _gpu(gpu: Gpu, found: Gpus) -> Iterator[Finding]:
    about = f"{gpu.name} with {_memory_size(gpu.memory_bytes)}, driver {found.driver}, CUDA {found.cuda}"
    number = "FP8 and bfloat16" if gpu.has_fp8 else "bfloat16 but not FP8" if gpu.has_bfloat16 else "no bfloat16"
    yield Finding("gpu", Level.GOOD, f"{about}. It computes {number} (compute capability {gpu.capability}).")
    yield from _gpu_limits(gpu)


def _gpu_limits(gpu: Gpu) -> Iterator[Finding]:
    taken = gpu.memory_bytes - (gpu.memory_bytes if gpu.free_bytes is None else gpu.free_bytes)
    if taken > BUSY_SHARE * gpu.memory_bytes:
        by = "one process" if gpu.process_count == 1 else f"{gpu.process_count} processes"
        says = f"{_memory_size(taken)} of its memory are taken already, by {by}."
        yield Finding("gpu", Level.NOTE, says, "nvidia-smi shows who; end them, or lower gpu-memory-utilization")
    yield from _power_limit(gpu)
    if gpu.has_mig:
        says = "It is divided (MIG): the figures above are the whole card's, an engine gets one part."
        yield Finding(
            "gpu", Level.NOTE, says, "Give the runner one part: CUDA_VISIBLE_DEVICES=MIG-…, as nvidia-smi -L says"
        )


def _power_limit(gpu: Gpu) -> Iterator[Finding]:
    limit, default = gpu.power_limit_watts, gpu.power_default_watts
    if limit and default and limit < POWER_SHARE_MIN * default:
        says = f"Its power is limited to {limit:.0f} W of {default:.0f} W: it computes slower than it could."
        yield Finding(
            "gpu", Level.NOTE, says, f"If nobody wants that: sudo nvidia-smi -i {gpu.index} -pl {default:.0f}"
        )


def _processor(processor: Processor, *, has_gpu: bool) -> Iterator[Finding]:
    name = processor.name or "This processor"
    threads = f", {len(processor.logical_cores)} threads" if processor.has_hyperthreads else ""
    about = f"{name}: {amount(processor.core_count, 'core')}{threads}"
    if not processor.features & VECTORS:
        fix = 'Use a newer machine, a GPU, or a server elsewhere (engine = "http" in models.toml)'
        level = Level.NOTE if has_gpu else Level.BAD
        yield Finding("processor", level, f"{about}. It has no AVX2, and vLLM's CPU build needs that.", fix)
        return
    if has_gpu:
        yield Finding("processor", Level.GOOD, f"{about}, for the server; models run on the GPU.")
        return
    choices = {choice.name: choice for choice in processor_choices(processor)}
    dtype = choices[DTYPE]
    advice = "bfloat16" if dtype.value == BFLOAT16 else "float32, at twice the memory,"
    why = dtype.reason.removeprefix("this processor ")
    yield Finding("processor", Level.GOOD, f"{about}. It {why}. The runner takes {advice} by itself.")
    if has_share(processor):
        yield _share(processor)


def _share(processor: Processor) -> Finding:
    quota, cores = processor.quota or 0.0, len(processor.logical_cores)
    says = f"This container may use {quota:g} of {amount(cores, 'processor')}."
    if quota >= PROCESSORS_MIN:
        return Finding("processor", Level.NOTE, says, "More of them answer faster: docker run --cpus …")
    fix = "Give it two at least: docker run --cpus 2, or resources.limits.cpu in Kubernetes"
    return Finding("processor", Level.BAD, f"{says} The engine and the server around it want two.", fix)


def _memory(memory: Memory) -> Iterator[Finding]:
    of = " that this container may use" if memory.limit_bytes else ""
    free = _memory_size(min(memory.free_bytes, memory.usable_bytes))
    says = f"{_memory_size(memory.usable_bytes)} of memory{of}, {free} free."
    if memory.usable_bytes < MEMORY_BYTES_MIN:
        fix = "Give it more, or run the server with models that are served elsewhere"
        yield Finding("memory", Level.BAD, f"{says} The demo takes {_memory_size(MEMORY_BYTES_MIN)}.", fix)
        return
    if memory.bytes_per_second:
        says += f" All cores together copy {memory.bytes_per_second / 1e9:.0f} GB/s just now."
    yield Finding("memory", Level.GOOD, says)


def _models(machine: Machine) -> Iterator[Finding]:
    """Yield the largest model that fits and, on a processor, the highest speed of a model with one billion
    parameters."""
    if machine.gpus.gpus:
        gpu = max(machine.gpus.gpus, key=lambda gpu: gpu.memory_bytes)
        room = int(gpu.memory_bytes * GPU_UTILIZATION_DEFAULT) - GPU_OVERHEAD_BYTES - CACHE_BYTES
        wider = f", {_billions(room)} in FP8" if gpu.has_fp8 else ""
        yield Finding("models", Level.GOOD, f"Up to {_billions(room / 2)} fit the GPU in 16 bits{wider}.")
        return
    yield from _models_on_processor(machine)


def _models_on_processor(machine: Machine) -> Iterator[Finding]:
    is_native = any(choice.value == BFLOAT16 for choice in processor_choices(machine.processor))
    width, dtype = (2, BFLOAT16) if is_native else (4, "float32")
    room = int(machine.memory.usable_bytes * CPU_SHARE_MAX) - CPU_OVERHEAD_BYTES - CACHE_BYTES
    if room <= 0:
        return
    says = f"Up to {_billions(room / width)} fit in {dtype}."
    if rate := machine.memory.bytes_per_second:
        steps = rate / (1e9 * width)
        says += f" One of a billion makes about {steps:.0f} steps a second: a token for each request of a full batch."
    yield Finding("models", Level.GOOD, says)


def _disk(disk: Disk) -> Iterator[Finding]:
    if disk.trouble or disk.sync_seconds is None:
        fix = "Set VBATCH_HOME to a folder you may write in"
        yield Finding("disk", Level.BAD, f"{disk.folder} cannot be written: {disk.trouble}", fix)
        return
    milliseconds = disk.sync_seconds * 1e3
    says = f"{size(disk.free_bytes)} free ({disk.kind}); an append is durable after {milliseconds:.1f} ms (fsync)."
    yield _speed(says, disk.sync_seconds)
    yield from _disk_doubts(disk)


def _disk_doubts(disk: Disk) -> Iterator[Finding]:
    if disk.kind in NETWORK_DISKS:
        fix = "Set VBATCH_HOME to a folder on a disk of this machine"
        says = f"{disk.folder} lies on a network ({disk.kind}), where locks and fsync do not keep their promises."
        yield Finding("disk", Level.BAD, says, fix)
    if disk.free_bytes < FREE_BYTES_MIN:
        says = f"{size(disk.free_bytes)} are little: the engine takes 5 GB (15 GB for a GPU), models and answers more."
        yield Finding("disk", Level.NOTE, says, "Make room, or set VBATCH_HOME to a larger disk")


def _speed(says: str, seconds: float) -> Finding:
    if seconds <= SYNC_SECONDS_GOOD:
        return Finding("disk", Level.GOOD, says)
    wait = "Every event waits for one"
    if seconds <= SYNC_SECONDS_BAD:
        return Finding("disk", Level.GOOD, f"{says} {wait}; that is fine for batches.")
    says = f"{says} {wait}, so batches begin and end late, and answers come in larger chunks."
    return Finding("disk", Level.BAD, says, "Set VBATCH_HOME to a folder on an SSD of this machine")


def _ports(ports: tuple[Port, ...], *, is_running: bool) -> Iterator[Finding]:
    taken = [port for port in ports if port.taken_by]
    for port in taken:
        says = f"Port {port.number} of {port.program} is taken by {port.taken_by}."
        yield Finding("ports", Level.BAD, says, f"Set {port.variable} to a free one, or end the other program")
    if not taken:
        numbers = ", ".join(str(port.number) for port in ports)
        state = "The server runs here and has them" if is_running else "All are free"
        yield Finding("ports", Level.GOOD, f"{state}: {numbers}.")


def _clock(is_true: bool | None) -> Iterator[Finding]:
    if is_true:
        yield Finding("clock", Level.GOOD, "It is kept in step with the world's.")
    elif is_true is None:
        yield Finding("clock", Level.NOTE, "Whether it is right cannot be seen from here.")
    else:
        says = "Nobody keeps it in step: times in the log and the ends of windows drift."
        yield Finding("clock", Level.NOTE, says, "sudo timedatectl set-ntp true, or ask who runs this machine's host")


def _engine(engine: Engine) -> Iterator[Finding]:
    if engine.device:
        yield Finding("engine", Level.GOOD, f"vLLM is installed for the {ENGINES.get(engine.device, engine.device)}.")
    else:
        says = f"vLLM is not installed ({engine.python} is not there): only simulated models and other servers run."
        yield Finding("engine", Level.NOTE, says, "./taskw setup:engine (once: some minutes, 4 GB; 15 GB for a GPU)")


def _memory_size(count: int) -> str:
    """Return the size as memory makers count: `16 GiB`, `7.5 GiB`."""
    return f"{count / GIB:.1f}".removesuffix(".0") + " GiB"


def _billions(parameters: float) -> str:
    count = parameters / 1e9
    return f"{count:.0f} billion parameters" if count >= 2 else f"{count:.1f} billion parameters"


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())
