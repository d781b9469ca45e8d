"""Whether a process that imported the engine's code in advance can serve a model, and whether it is worth having one.

What an engine reads from its environment while it is imported must be known when the standby starts; the rest may come
with the order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from vbatch.contracts.models import EngineKind
from vbatch.gpu_runner.core.choices import NO_BINDING, THREADS, WAITING
from vbatch.gpu_runner.core.command import Device, DeviceKind, EngineCommand

GIB = 1 << 30
STANDBY_BYTES = GIB * 3 // 4
"""The memory of one process that has imported vLLM (measured: 490 MB of its own, 200 MB of mapped libraries)."""
LATE_VARIABLES = frozenset({"VLLM_CPU_KVCACHE_SPACE", "VLLM_SERVER_DEV_MODE"})
"""Variables read when an engine is set up, not when it is imported."""
BINDING_VARIABLE = "VLLM_CPU_OMP_THREADS_BIND"
CORE_LIST = re.compile(r"\d+(,\d+)*")
OPENMP_OF_OTHERS = ("libiomp", "libomp")
MODULES: Mapping[EngineKind, tuple[str, ...]] = {
    EngineKind.VLLM: (
        "uvloop",
        "vllm.entrypoints.openai.api_server",
        "vllm.entrypoints.launchers.cli_args",
        "vllm.v1.engine.async_llm",
        "vllm.v1.engine.core",
        "vllm.v1.executor.multiproc_executor",
    ),
    EngineKind.SIMULATED: ("uvloop", "vbatch.gpu_runner.simulated.server"),
}
"""The modules each engine imports at its start; a module that has moved is imported later, as without a standby."""
CPU_MODULES = ("vllm.v1.worker.cpu_worker",)
GPU_MODULES = ("vllm.v1.worker.gpu_worker",)


@dataclass(frozen=True, slots=True)
class StandbyPlan:
    """The process to prepare: its Python, its imports, and the environment that must be known by then."""

    python: str
    modules: tuple[str, ...]
    environment: Mapping[str, str]
    threads: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StandbyOrder:
    """The order for a waiting process: run `module` as a program with these arguments, after setting `environment`."""

    module: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]


def standby_plan(command: EngineCommand, kind: EngineKind, machine: Mapping[str, str]) -> StandbyPlan | None:
    """Return the standby that could run this command, None if none can. `machine` is the runner's environment."""
    if kind not in MODULES or not command.arguments[1:3]:
        return None
    environment = {name: value for name, value in command.environment.items() if name not in LATE_VARIABLES}
    threads = _threads({**machine, **environment})
    if threads is None:
        return None
    return StandbyPlan(command.arguments[0], (*MODULES[kind], *_worker_modules(kind, threads)), environment, threads)


def order_for(plan: StandbyPlan, command: EngineCommand) -> StandbyOrder | None:
    """Return the order that turns this standby into the engine; None if it cannot become it."""
    python, _, module, *arguments = command.arguments
    late = {name: value for name, value in command.environment.items() if name in LATE_VARIABLES}
    early = {name: value for name, value in command.environment.items() if name not in LATE_VARIABLES}
    if python != plan.python or early != plan.environment:
        return None
    return StandbyOrder(module, tuple(arguments), late)


def affords_standby(available_bytes: int, spare_bytes: int) -> bool:
    """Whether `spare_bytes` of the machine's memory stay free beside a standby."""
    return available_bytes >= STANDBY_BYTES + spare_bytes


def imports_for_free(device: Device) -> bool:
    """Whether a standby takes nothing from the running model and may start at once: true beside a GPU."""
    return device.kind is not DeviceKind.CPU


def _worker_modules(kind: EngineKind, threads: Mapping[str, str]) -> tuple[str, ...]:
    if kind is not EngineKind.VLLM:
        return ()
    return CPU_MODULES if threads else GPU_MODULES


def _threads(environment: Mapping[str, str]) -> dict[str, str] | None:
    """Return what vLLM sets for its CPU worker, which a forked worker needs from its start; None if we cannot know.

    See vllm/utils/ompmultiprocessing.py: a plain list of cores, and PyTorch's libgomp.
    """
    binding = environment.get(BINDING_VARIABLE)
    if binding is None:
        return {}
    if binding == NO_BINDING and THREADS in environment:
        return {name: environment[name] for name in (THREADS, WAITING) if name in environment}
    if not CORE_LIST.fullmatch(binding) or any(
        library in environment.get("LD_PRELOAD", "") for library in OPENMP_OF_OTHERS
    ):
        return None
    cores = binding.split(",")
    return {"OMP_NUM_THREADS": str(len(cores)), "GOMP_CPU_AFFINITY": " ".join(cores)}
