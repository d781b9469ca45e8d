"""Builds the command line and environment of an engine from a model's definition and its device."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from vbatch.contracts.endpoints import CHAT_COMPLETIONS, COMPLETIONS, RESPONSES
from vbatch.contracts.models import LOCAL_MEDIA, MEDIA_HOSTS, ArgumentValue, EngineKind, ModelDefinition
from vbatch.gpu_runner.core.concurrency import concurrency_for
from vbatch.gpu_runner.core.gpu import Gpu
from vbatch.gpu_runner.core.processor import Processor

MAX_NUM_SEQS = "max-num-seqs"
SCHEDULING_POLICY, PRIORITY = "scheduling-policy", "priority"
"""With this policy, vLLM runs requests with a lower number first. Batch requests have none, which counts as 0."""
PRIORITY_ENDPOINTS = frozenset({CHAT_COMPLETIONS, COMPLETIONS, RESPONSES})
VLLM_MODULE = "vllm.entrypoints.openai.api_server"
NO_ACCESS_LOG = "--disable-uvicorn-access-log"
"""A log line per request adds nothing to the log of events, and costs the engine time."""
SIMULATED_MODULE = "vbatch.gpu_runner.simulated"
LOCAL_ENVIRONMENT: Mapping[str, str] = {"HF_HUB_OFFLINE": "1"}
VLLM_ENVIRONMENT: Mapping[str, str] = {
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_MEDIA_URL_ALLOW_REDIRECTS": "0",  # an allowed host must not redirect the engine to a forbidden one
}
NO_HOST = "none.invalid"
"""vLLM fetches from any host unless some host is named; this one never exists (RFC 2606)."""


SLEEP_ARGUMENTS: Mapping[str, ArgumentValue] = {"enable-sleep-mode": True}
SLEEP_ENVIRONMENT: Mapping[str, str] = {"VLLM_SERVER_DEV_MODE": "1"}
"""Opens /sleep and /wake_up, which only the owner of the socket can reach."""
DEVICE_BYTES = "memory-bytes"
"""The memory that a simulated engine claims to take."""


class DeviceKind(StrEnum):
    CPU = "cpu"
    NVIDIA = "nvidia"


@dataclass(frozen=True, slots=True)
class Device:
    """What the models run on; `index` tells GPUs of one machine apart, `cores` are those a CPU engine may use.

    `processor` and `gpu` describe the hardware if it was read; without them, the device makes no choices.
    """

    kind: DeviceKind
    name: str
    memory_bytes: int
    index: int = 0
    cores: tuple[int, ...] = ()
    processor: Processor | None = None
    gpu: Gpu | None = None


@dataclass(frozen=True, slots=True)
class EngineCommand:
    """How to start an engine; `environment` is set on top of the runner's own."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Places:
    """The paths of an engine: the Python that has vLLM, our own Python, the socket (whose folder also holds the
    engine's other sockets), and the model's folder or hub id."""

    engine_python: str
    own_python: str
    socket: str
    model_source: str = ""


def engine_command(
    definition: ModelDefinition, device: Device, places: Places, *, can_sleep: bool = False
) -> EngineCommand:
    """Return the command that starts the engine. Raises ValueError for an engine that is connected to, not started."""
    napping = SLEEP_ARGUMENTS if can_sleep else {}
    arguments = _argument_list({**guarded_arguments(definition, device), **napping})
    match definition.engine:
        case EngineKind.VLLM:
            server = (places.engine_python, "-m", VLLM_MODULE, "--uds", places.socket, NO_ACCESS_LOG)
            model = ("--model", places.model_source, "--served-model-name", definition.id)
            sockets = {"VLLM_RPC_BASE_PATH": posixpath.dirname(places.socket)}
            opened = SLEEP_ENVIRONMENT if can_sleep else {}
            environment = {**_vllm_environment(definition, device), **sockets, **opened}
            return EngineCommand((*server, *model, *arguments), environment)
        case EngineKind.SIMULATED:
            head = (places.own_python, "-m", SIMULATED_MODULE, "--uds", places.socket, "--model", definition.id)
            return EngineCommand((*head, *arguments), _own_environment(definition, device))
        case EngineKind.HTTP:
            raise ValueError(f"{definition.id} is served elsewhere: there is nothing to start")


def given_way(command: EngineCommand, niceness: int) -> EngineCommand:
    """Return the command for an engine that runs only where other processes leave the processor idle (nice(1))."""
    return EngineCommand(("nice", "-n", str(niceness), *command.arguments), command.environment)


def may_sleep(definition: ModelDefinition, device: Device) -> bool:
    """Whether the engine may sleep: vLLM refuses to start with sleep mode on a CPU."""
    is_able = definition.engine is EngineKind.VLLM and device.kind is DeviceKind.NVIDIA
    return is_able or definition.engine is EngineKind.SIMULATED


def effective_concurrency(definition: ModelDefinition, device: Device) -> int:
    return concurrency_for(int(effective_arguments(definition, device)[MAX_NUM_SEQS]))


def guarded_arguments(definition: ModelDefinition, device: Device) -> dict[str, ArgumentValue]:
    """The effective arguments, so that vLLM fetches media only from the named hosts and reads no local file."""
    arguments = effective_arguments(definition, device)
    if definition.engine is EngineKind.VLLM:
        arguments.pop(LOCAL_MEDIA, None)
        arguments[MEDIA_HOSTS] = arguments.get(MEDIA_HOSTS) or NO_HOST
        arguments.setdefault(SCHEDULING_POLICY, PRIORITY)
    return arguments


def schedules_by_priority(definition: ModelDefinition, device: Device) -> bool:
    """Whether the engine runs a request with a better priority before others that wait in it. vLLM reads priorities
    where tokens are generated only."""
    if definition.engine is EngineKind.HTTP or PRIORITY_ENDPOINTS.isdisjoint(definition.endpoints):
        return False  # it is not known how a server elsewhere was started
    return guarded_arguments(definition, device).get(SCHEDULING_POLICY) == PRIORITY


def effective_arguments(definition: ModelDefinition, device: Device) -> dict[str, ArgumentValue]:
    """Merge the model's arguments with those of the device, spelled with dashes; `max-num-seqs` is always set."""
    layers = [definition.arguments]
    if device.kind is DeviceKind.CPU:
        layers.append(definition.cpu.arguments)
    merged: dict[str, ArgumentValue] = {MAX_NUM_SEQS: definition.max_num_seqs}
    for layer in layers:
        merged |= {name.replace("_", "-"): value for name, value in layer.items()}
    return merged


def effective_environment(definition: ModelDefinition, device: Device) -> dict[str, str]:
    """The environment that the model's definition sets for the engine, with the device's layer on top."""
    if device.kind is DeviceKind.CPU:
        return {**definition.environment, **definition.cpu.environment}
    return dict(definition.environment)


def _argument_list(arguments: Mapping[str, ArgumentValue]) -> list[str]:
    """Format arguments: True is a bare flag, False removes a flag of an earlier layer."""
    words: list[str] = []
    for name, value in arguments.items():
        if name == MEDIA_HOSTS:
            words += [f"--{name}", *str(value).lower().split()]
        elif value is True:
            words.append(f"--{name}")
        elif value is not False:
            words += [f"--{name}", str(value)]
    return words


def _vllm_environment(definition: ModelDefinition, device: Device) -> dict[str, str]:
    local = {} if definition.hub else LOCAL_ENVIRONMENT
    return {**VLLM_ENVIRONMENT, **local, **_core_binding(device), **_own_environment(definition, device)}


def _core_binding(device: Device) -> dict[str, str]:
    """Bind threads to cores: vLLM's choice leaves a core idle (measured on two cores: 16.7 requests/s, not 24.9)."""
    if device.kind is not DeviceKind.CPU or not device.cores:
        return {}
    return {"VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, device.cores))}


def _own_environment(definition: ModelDefinition, device: Device) -> dict[str, str]:
    own = effective_environment(definition, device)
    return own if device.kind is DeviceKind.CPU else {"CUDA_VISIBLE_DEVICES": str(device.index), **own}
