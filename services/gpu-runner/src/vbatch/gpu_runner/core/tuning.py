"""Which profiles of a model are compared, which advance to the next round, and how the best one is written.

Successive halving (Jamieson and Talwalkar 2016): every profile gets a little work, the better half twice as much. From
the second round on, the changes that helped one by one are also tried together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from vbatch.contracts.models import ArgumentValue, EngineKind, ModelDefinition
from vbatch.gpu_runner.core.choices import (
    BATCHED_TOKENS,
    BFLOAT16,
    BLOCK_SIZE,
    DTYPE,
    EAGER,
    FLOAT16,
    FLOAT32,
    QUANTIZATION,
)
from vbatch.gpu_runner.core.command import MAX_NUM_SEQS, Device, DeviceKind, effective_arguments

SEQS_MIN, SEQS_MAX = 4, 512
CPU_BLOCK_SIZES = (32, 64)
"""vLLM's attention on a CPU takes multiples of 32."""
BATCHED_TOKENS_USUAL = 2048
"""The default of a server (vLLM 0.32)."""
REQUESTS_FIRST_ROUND_MIN = 32
DTYPES_TRIED: Mapping[DeviceKind, tuple[str, ...]] = {
    DeviceKind.CPU: (BFLOAT16, FLOAT32),
    DeviceKind.NVIDIA: (BFLOAT16, FLOAT16),
}
FP8 = "fp8"
"""vLLM quantises the weights while it loads them; only GPUs from Ada on compute in it."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """The arguments that differ from the current profile, and in capitals the variables of the engine's environment;
    empty for that profile itself."""

    changes: Mapping[str, ArgumentValue]

    def applied(self, definition: ModelDefinition, device: Device) -> ModelDefinition:
        own = definition.cpu if device.kind is DeviceKind.CPU else definition
        variables = {name: str(value) for name, value in self.changes.items() if name.isupper()}
        arguments = {**own.arguments, **{name: value for name, value in self.changes.items() if name not in variables}}
        environment = {**own.environment, **variables}
        if device.kind is DeviceKind.CPU:
            cpu = msgspec.structs.replace(definition.cpu, arguments=arguments, environment=environment)
            return msgspec.structs.replace(definition, cpu=cpu)
        return msgspec.structs.replace(definition, arguments=arguments, environment=environment)

    def __str__(self) -> str:
        return ", ".join(f"{name} {toml(value)}" for name, value in self.changes.items()) or "as it stands"


@dataclass(frozen=True, slots=True)
class Trial:
    """One profile's round. Without a rate the engine did not start or did not answer, and `fault` says why.
    `start_seconds` is how long each load of the model would take."""

    candidate: Candidate
    requests: int
    requests_a_second: float = 0.0
    fault: str = ""
    start_seconds: float = 0.0


def candidates(definition: ModelDefinition, device: Device) -> list[Candidate]:
    """The current profile, and each of its arguments changed by itself."""
    arguments = effective_arguments(definition, device)
    seqs, tokens = int(arguments[MAX_NUM_SEQS]), int(arguments.get(BATCHED_TOKENS, BATCHED_TOKENS_USUAL))
    moves: list[dict[str, ArgumentValue]] = [{}]
    moves += [{MAX_NUM_SEQS: seqs_tried} for seqs_tried in (seqs // 2, seqs * 2) if SEQS_MIN <= seqs_tried <= SEQS_MAX]
    if definition.engine is EngineKind.VLLM:
        moves += [{BATCHED_TOKENS: tokens * 2}, {BATCHED_TOKENS: tokens * 4}]
        moves += [{EAGER: not arguments.get(EAGER, False)}]
        if device.kind is DeviceKind.CPU:
            moves += [{BLOCK_SIZE: size} for size in CPU_BLOCK_SIZES if size != arguments.get(BLOCK_SIZE)]
        moves += [{DTYPE: dtype} for dtype in DTYPES_TRIED[device.kind] if dtype != arguments.get(DTYPE)]
        if device.gpu and device.gpu.has_fp8 and not arguments.get(QUANTIZATION):
            moves += [{QUANTIZATION: FP8}]
    return [Candidate(move) for move in moves]


def is_coarser(candidate: Candidate) -> bool:
    """Whether the answers become coarser. Such a profile is measured once, so that its rate is known, but it never
    becomes the best by itself."""
    return QUANTIZATION in candidate.changes


def coarser_gain(trials: Sequence[Trial]) -> tuple[Candidate, float] | None:
    """The fastest of the profiles with coarser answers, and how many times as fast as the current profile it was in the
    same round; None if none was faster."""
    before = next((trial.requests_a_second for trial in trials if not trial.candidate.changes), 0.0)
    coarser = [trial for trial in trials if is_coarser(trial.candidate) and trial.requests_a_second > before > 0]
    best = max(coarser, key=lambda trial: trial.requests_a_second, default=None)
    return (best.candidate, best.requests_a_second / before) if best else None


def first_round_requests(definition: ModelDefinition, device: Device) -> int:
    """The requests of the first round: enough to keep the engine full for a while."""
    return max(REQUESTS_FIRST_ROUND_MIN, 2 * int(effective_arguments(definition, device)[MAX_NUM_SEQS]))


def combined(trials: Sequence[Trial]) -> list[Candidate]:
    """After the first round, combine all changes that were better than the current profile, the best for each argument;
    empty if that is not a new profile."""
    before = max((trial.requests_a_second for trial in trials if not trial.candidate.changes), default=0.0)
    better = [trial for trial in trials if trial.requests_a_second > before]
    changes: dict[str, ArgumentValue] = {}
    for trial in sorted(better, key=lambda trial: trial.requests_a_second):
        changes |= trial.candidate.changes
    return [Candidate(changes)] if len(changes) > 1 else []


def next_round(trials: Sequence[Trial]) -> list[Candidate]:
    """Return the better half, best first, without those that failed."""
    ranked = sorted((trial for trial in trials if not trial.fault), key=lambda trial: -trial.requests_a_second)
    return [trial.candidate for trial in ranked[: max(1, len(trials) // 2)]]


@dataclass(frozen=True, slots=True)
class Profile:
    """The entry for models.toml: for a CPU in its `cpu` table, which does not set the size."""

    is_of_cpu: bool
    arguments: Mapping[str, ArgumentValue]
    max_num_seqs: int | None = None

    def __str__(self) -> str:
        arguments = f"arguments = {_table(self.arguments)}"
        return f"[model.cpu]\n{arguments}" if self.is_of_cpu else f"max_num_seqs = {self.max_num_seqs}\n{arguments}"


def profile_of(definition: ModelDefinition, device: Device, best: Candidate) -> Profile:
    tuned = best.applied(definition, device)
    if device.kind is DeviceKind.CPU:
        return Profile(is_of_cpu=True, arguments=tuned.cpu.arguments)
    seqs = int(tuned.arguments.get(MAX_NUM_SEQS, tuned.max_num_seqs))
    others = {name: value for name, value in tuned.arguments.items() if name != MAX_NUM_SEQS}
    return Profile(is_of_cpu=False, arguments=others, max_num_seqs=seqs)


def toml(value: ArgumentValue) -> str:
    return json.dumps(value)  # JSON and TOML write values of these types the same way


def _table(arguments: Mapping[str, ArgumentValue]) -> str:
    return "{ " + ", ".join(f"{name} = {toml(value)}" for name, value in arguments.items()) + " }"
