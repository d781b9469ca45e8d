"""Which settings a runner measures by itself on a device that the table of choices does not know, in which order, and
when another setting wins.

First each setting that matters most is changed by itself: the dtype, the threads, whether the model is compiled. Then
the current settings are measured once more, and what still wins is measured together. Engines of one model differ by a
sixth from one hour to another, so a change counts only if it wins by more than that, in both rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from vbatch.contracts.models import ArgumentValue, EngineKind, ModelDefinition
from vbatch.gpu_runner.core.choices import (
    BFLOAT16,
    BINDING,
    DTYPE,
    DTYPES,
    EAGER,
    FLOAT16,
    FLOAT32,
    THREADS,
    Choice,
    left_open,
    thread_settings,
)
from vbatch.gpu_runner.core.command import Device, DeviceKind
from vbatch.gpu_runner.core.profile import Profile
from vbatch.gpu_runner.core.tuning import Candidate, Trial, toml

WIN_RATIO = 1.2
REQUESTS = 48
"""The requests of one trial: fewer than `vbatch tune` sends, because an order may come at any moment."""
ALTERNATIVES_MAX = 6
CPU_DTYPES, GPU_DTYPES = (BFLOAT16, FLOAT32), (BFLOAT16, FLOAT16)


class IdleTuning(StrEnum):
    """When a runner measures settings while it is idle."""

    NEVER = "never"
    UNKNOWN_DEVICE = "unknown_device"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class Tuned:
    """What was measured for one model on one device. `changes` replace the device's choices; they are empty if nothing
    was faster. The rates are requests per second."""

    changes: dict[str, ArgumentValue]
    rate_before: float
    rate: float

    def choices(self) -> tuple[Choice, ...]:
        rates = f"{self.rate:.1f} instead of {self.rate_before:.1f} requests/s"
        reason = f"measured on this device while it was idle: {rates}"
        return tuple(Choice(name, value, reason) for name, value in self.changes.items())


def is_tuned_when_idle(mode: IdleTuning, definition: ModelDefinition, device: Device) -> bool:
    """Whether the settings of this model are measured on this device without being asked."""
    is_wanted = mode is IdleTuning.ALWAYS or (mode is IdleTuning.UNKNOWN_DEVICE and not is_known(device))
    return is_wanted and definition.engine is EngineKind.VLLM


def is_known(device: Device) -> bool:
    """Whether the table of choices has an entry for this device: a feature of its processor, or a GPU that its driver
    describes."""
    if device.kind is not DeviceKind.CPU:
        return device.gpu is not None
    features = device.processor.features if device.processor else frozenset()
    return any(feature in features for feature, _dtype, _reason in DTYPES)


def alternatives(definition: ModelDefinition, profile: Profile, device: Device) -> list[Candidate]:
    """Each setting to measure, changed by itself. What the definition says is never changed; `profile` has what is in
    effect now."""
    current = {setting.name: setting.value for setting in profile.settings}
    open_names = {choice.name for choice in left_open(definition, _offered(device), is_cpu=_is_cpu(device))}
    open_names -= {DTYPE} if profile.is_quantized else set()
    moves = [*_dtypes(device), *_thread_settings(device), (EAGER, current.get(EAGER) is not True)]
    changed = [(name, value) for name, value in moves if name in open_names and current.get(name) != value]
    return [Candidate({name: value}) for name, value in changed[:ALTERNATIVES_MAX]]


def next_candidate(trials: Sequence[Trial], others: Sequence[Candidate]) -> Candidate | None:
    """Return what to measure after these trials, which were measured in this order; None once they decide."""
    current = Candidate({})
    first_round = [current, *others]
    if _has_no_rate(trials):
        return None
    if len(trials) < len(first_round):
        return first_round[len(trials)]
    challenger = _challenger(trials)
    second_round = [current, challenger] if challenger else []
    done = len(trials) - len(first_round)
    return second_round[done] if done < len(second_round) else None


def verdict(trials: Sequence[Trial], others: Sequence[Candidate]) -> Tuned | None:
    """Return the result of trials that decide; None if the current settings could not be measured."""
    if _has_no_rate(trials):
        return None
    before, last = _rate_before(trials), trials[-1]
    has_challenger = len(trials) == len(others) + 3
    if has_challenger and last.requests_a_second >= WIN_RATIO * before:
        return Tuned(dict(last.candidate.changes), before, last.requests_a_second)
    return Tuned({}, before, before)


def _rate_before(trials: Sequence[Trial]) -> float:
    """The rate of the current settings, the better one if they were measured twice."""
    return max((trial.requests_a_second for trial in trials if not trial.candidate.changes), default=0.0)


def _has_no_rate(trials: Sequence[Trial]) -> bool:
    """Whether the current settings failed: then there is nothing to compare with."""
    return any(trial.fault for trial in trials if not trial.candidate.changes)


def _challenger(trials: Sequence[Trial]) -> Candidate | None:
    """All changes that won, the best value of each setting."""
    before = _rate_before(trials)
    winners = [trial for trial in trials if not trial.fault and trial.requests_a_second >= WIN_RATIO * before]
    changes: dict[str, ArgumentValue] = {}
    for trial in sorted(winners, key=lambda trial: trial.requests_a_second):
        changes |= trial.candidate.changes
    return Candidate(changes) if changes else None


def _offered(device: Device) -> tuple[Choice, ...]:
    names = (DTYPE, EAGER, *((BINDING, THREADS) if _is_cpu(device) else ()))
    return tuple(Choice(name, "", "") for name in names)


def _dtypes(device: Device) -> list[tuple[str, ArgumentValue]]:
    return [(DTYPE, dtype) for dtype in (CPU_DTYPES if _is_cpu(device) else GPU_DTYPES)]


def _thread_settings(device: Device) -> tuple[tuple[str, ArgumentValue], ...]:
    return thread_settings(device.processor) if device.processor else ()


def _is_cpu(device: Device) -> bool:
    return device.kind is DeviceKind.CPU


def described_changes(tuned: Tuned) -> list[tuple[str, str]]:
    """The changes as texts, as an event has them."""
    return [(name, value if isinstance(value, str) else toml(value)) for name, value in tuned.changes.items()]
