"""The memory ladder: an engine that ran out of memory is started again with a smaller profile, one rung at a time.

The signs of each shortage come from an engine's last output (vLLM 0.32, PyTorch, the kernel). Every rung moves one
argument towards its limit, so the ladder ends; then the model is reported as one that does not fit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from vbatch.contracts.ids import ModelId
from vbatch.contracts.models import ArgumentValue, EngineKind, ModelDefinition
from vbatch.gpu_runner.core.command import MAX_NUM_SEQS, Device, DeviceKind, effective_arguments

RUNGS_MAX = 8
KERNEL_KILLED = "the kernel ended a process of this machine for want of memory"
"""Written by the launcher: the kernel itself leaves no message in an engine's log."""
GIB = 1 << 30


class Shortage(StrEnum):
    """Which memory ran out."""

    CACHE = "cache"
    """The weights fit, but the rest of the device's share is too small for the KV cache."""
    DEVICE = "device"
    HOST = "host"


SIGNS: tuple[tuple[Shortage, re.Pattern[str]], ...] = (
    (Shortage.CACHE, re.compile(r"No available memory for the cache blocks|than the available KV cache memory")),
    (
        Shortage.DEVICE,
        re.compile(r"(CUDA|HIP)( error:)? out of memory|OutOfMemoryError|less than desired GPU memory utilization"),
    ),
    (
        Shortage.HOST,
        re.compile(rf"\bMemoryError\b|Cannot allocate memory|can't allocate memory|{re.escape(KERNEL_KILLED)}"),
    ),
)


def shortage_in(words: str) -> Shortage | None:
    """Return which memory ran out according to an engine's last output; None if it is about something else."""
    return next((shortage for shortage, sign in SIGNS if sign.search(words)), None)


def memory_line(log: str) -> str:
    """Return the last line of a log that speaks of a shortage; empty if none does."""
    return next((line.strip() for line in reversed(log.splitlines()) if shortage_in(line)), "")


@dataclass(frozen=True, slots=True)
class Lever:
    """One argument that takes memory. `usual` is the engine's value if it is not set; 0 if we cannot know it."""

    name: str
    usual: float
    end: float
    factor: float = 0.5
    step: float = 0.0

    def next(self, value: float) -> float | None:
        """Return the next lower value; None at the end."""
        moved = round(value + self.step, 2) if self.step else float(int(value * self.factor))
        is_beyond = moved > self.end if self.step > 0 else moved < self.end
        return None if is_beyond else moved


TOKENS = Lever("max-num-batched-tokens", usual=2048, end=512)
SEQS = Lever(MAX_NUM_SEQS, usual=0, end=1)
SHARE_UP = Lever("gpu-memory-utilization", usual=0.9, end=0.96, step=0.03)
SHARE_DOWN = Lever("gpu-memory-utilization", usual=0.9, end=0.6, step=-0.1)
CPU_CACHE = Lever("VLLM_CPU_KVCACHE_SPACE", usual=0, end=1)
LENGTH = Lever("max-model-len", usual=0, end=1024)

LEVERS: Mapping[Shortage, tuple[Lever, ...]] = {
    Shortage.CACHE: (SHARE_UP, TOKENS, SEQS, LENGTH),
    Shortage.DEVICE: (TOKENS, SEQS, SHARE_DOWN, LENGTH),
    Shortage.HOST: (CPU_CACHE, SEQS, TOKENS, SHARE_DOWN, LENGTH),
}


@dataclass(frozen=True, slots=True)
class Rung:
    """One step down: which memory ran out, and which argument was lowered. `number` counts from 1."""

    number: int
    shortage: Shortage
    name: str
    before: ArgumentValue
    after: ArgumentValue

    def __str__(self) -> str:
        return f"{self.name} {self.before} → {self.after}"


@dataclass(frozen=True, slots=True)
class Ladder:
    """The rungs each model has taken; a new definition starts at the top. `may_shorten` permits smaller contexts."""

    device: Device | None = None
    may_shorten: bool = False
    _stands: dict[ModelId, tuple[ModelDefinition, tuple[Rung, ...]]] = field(default_factory=dict)

    def rungs(self, definition: ModelDefinition) -> tuple[Rung, ...]:
        known, rungs = self._stands.get(definition.id, (definition, ()))
        return rungs if known == definition else ()

    def applied(self, definition: ModelDefinition) -> ModelDefinition:
        """Return the definition with all rungs applied, as it will be started."""
        changed = {rung.name: rung.after for rung in self.rungs(definition)}
        return _changed(definition, changed) if changed else definition

    def step_down(self, definition: ModelDefinition, words: str) -> Rung | None:
        """Take the next rung; None if `words` is not about memory or no setting can be lowered any further."""
        shortage = shortage_in(words)
        rungs = self.rungs(definition)
        if shortage is None or self.device is None or len(rungs) >= RUNGS_MAX:
            return None
        rung = self._next(definition, shortage, len(rungs))
        if rung is not None:
            self._stands[definition.id] = (definition, (*rungs, rung))
        return rung

    def described(self, definition: ModelDefinition, words: str) -> str:
        """Return `words` with the rungs that were tried, for a model that still does not fit."""
        rungs, device = self.rungs(definition), self.device
        if shortage_in(words) is None or device is None:
            return f"{words}\nStarted with less memory than asked for: {'; '.join(map(str, rungs))}" if rungs else words
        tried = "; ".join(map(str, rungs)) or "nothing, for nothing may be made smaller"
        has = f"{device.name} has {device.memory_bytes / GIB:.1f} GiB" if device.memory_bytes else device.name
        return f"{words}\nThe model does not fit: {has}; tried {tried}. {memory_line(words)}"

    def _next(self, definition: ModelDefinition, shortage: Shortage, rung_count: int) -> Rung | None:
        """Choose the next rung. The levers take turns, so that none of them is used up alone."""
        levers = [lever for lever in LEVERS[shortage] if self._is_permitted(definition, lever)]
        for turn in range(len(levers)):
            lever = levers[(rung_count + turn) % len(levers)]
            before = self._value(definition, lever)
            after = lever.next(before) if before else None
            if lever is TOKENS and after is not None and after < self._value(definition, SEQS):
                continue  # vLLM refuses a step that cannot hold one token per request
            if after is not None and after != before:
                return Rung(rung_count + 1, shortage, lever.name, _plain(before), _plain(after))
        return None

    def _is_permitted(self, definition: ModelDefinition, lever: Lever) -> bool:
        match definition.engine:
            case EngineKind.HTTP:
                return False
            case EngineKind.SIMULATED:
                return lever is SEQS
            case EngineKind.VLLM:
                if lever in (SHARE_UP, SHARE_DOWN):
                    return not self._has_cpu_cache(definition)
                return lever is not LENGTH or self.may_shorten

    def _has_cpu_cache(self, definition: ModelDefinition) -> bool:
        """Whether the cache size is set in bytes, as on a CPU; then the share has no effect."""
        is_cpu = self.device is not None and self.device.kind is DeviceKind.CPU
        return is_cpu and CPU_CACHE.name in {**definition.environment, **definition.cpu.environment}

    def _value(self, definition: ModelDefinition, lever: Lever) -> float:
        assert self.device is not None, "a ladder without a device takes no step"
        started = self.applied(definition)
        environment = {**started.environment, **started.cpu.environment}
        found = {**effective_arguments(started, self.device), **environment}.get(lever.name, lever.usual)
        return float(found)


def _changed(definition: ModelDefinition, changed: Mapping[str, ArgumentValue]) -> ModelDefinition:
    """Set the arguments in both layers, because the device decides which one applies."""
    arguments = {name: value for name, value in changed.items() if not name.isupper()}
    environment = {name: str(value) for name, value in changed.items() if name.isupper()}
    cpu = msgspec.structs.replace(
        definition.cpu,
        arguments={**definition.cpu.arguments, **arguments},
        environment={**definition.cpu.environment, **environment},
    )
    return msgspec.structs.replace(definition, arguments={**definition.arguments, **arguments}, cpu=cpu)


def _plain(value: float) -> ArgumentValue:
    return int(value) if value == int(value) else value
