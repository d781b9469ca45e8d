"""The profile that a model is loaded with: its definition, what its device chooses in addition, and the reason for each
value."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from vbatch.contracts.events import ProfileSetting
from vbatch.contracts.models import ArgumentValue, EngineKind, ModelDefinition
from vbatch.gpu_runner.core.choices import (
    ASLEEP,
    BFLOAT16,
    BINDING,
    DTYPE,
    FLOAT32,
    NO_BINDING,
    THREADS,
    WAITING,
    Choice,
    gpu_choices,
    left_open,
    processor_choices,
)
from vbatch.gpu_runner.core.command import Device, DeviceKind, effective_arguments, effective_environment
from vbatch.gpu_runner.core.fit import Fit, ModelShape, cpu_cache_bytes, fit

SAID = "the model's definition says so"
SETTINGS_MAX = 64
VALUE_CHARS_MAX = 200
"""The limit on a value that is reported: an argument may be a whole chat template."""
TOLD_PREFIXES = ("VLLM_", "OMP_")
"""The variables of an environment that are reported; the others may be private."""


@dataclass(frozen=True, slots=True)
class Profile:
    """`definition` is complete: it includes the device's choices. `settings` are all settings in effect, the device's
    choices first. `is_quantized`: the model was published quantised."""

    definition: ModelDefinition
    settings: tuple[Choice, ...]
    is_quantized: bool = False


def profile_on(
    definition: ModelDefinition, device: Device, shape: ModelShape | None = None, measured: Sequence[Choice] = ()
) -> Profile:
    """How the model is loaded on the device. `shape` is None if its files cannot be read yet; `measured` replaces what
    the table says for this device."""
    choices = tuple(_that_fit(choices_for(definition, device, shape, measured), definition, device, shape))
    completed = _with(definition, choices)
    settings = (*choices, *_said(completed, device, {choice.name for choice in choices}))
    return Profile(completed, settings, is_quantized=shape is not None and shape.is_quantized)


def choices_for(
    definition: ModelDefinition, device: Device, shape: ModelShape | None = None, measured: Sequence[Choice] = ()
) -> tuple[Choice, ...]:
    """What the device chooses, whether or not the model then fits."""
    if definition.engine is not EngineKind.VLLM:
        return ()
    is_cpu = device.kind is DeviceKind.CPU
    offered = processor_choices(device.processor) if is_cpu and device.processor else ()
    offered = gpu_choices(device.gpu) if not is_cpu and device.gpu else offered
    names = {choice.name for choice in measured}
    offered = (*measured, *(choice for choice in offered if choice.name not in names))
    found = left_open(definition, offered, is_cpu=is_cpu)
    return tuple(choice for choice in found if choice.name != DTYPE) if shape and shape.is_quantized else found


def _that_fit(
    choices: tuple[Choice, ...], definition: ModelDefinition, device: Device, shape: ModelShape | None
) -> list[Choice]:
    """Prefer choices that fit. float32 takes twice the memory of bfloat16: if only the smaller one fits, it is taken
    although it is slower."""
    if shape is None:
        return list(choices)
    return [_smaller(choice, definition, device, shape) if choice.value == FLOAT32 else choice for choice in choices]


def _smaller(choice: Choice, definition: ModelDefinition, device: Device, shape: ModelShape) -> Choice:
    large, small = (_fit_in(definition, dtype, device, shape) for dtype in (FLOAT32, BFLOAT16))
    if large.is_fit or not small.is_fit:
        return choice
    needed = f"{large.bytes_wanted / (1 << 30):.1f} GiB"
    return replace(choice, value=BFLOAT16, reason=f"float32 would be faster here but takes {needed}: it does not fit")


def _fit_in(definition: ModelDefinition, dtype: str, device: Device, shape: ModelShape) -> Fit:
    tried = _with(definition, (Choice(DTYPE, dtype, ""),))
    arguments = effective_arguments(tried, device)
    return fit(shape, arguments, device, cpu_cache_bytes(arguments, effective_environment(tried, device)))


def _with(definition: ModelDefinition, choices: tuple[Choice, ...]) -> ModelDefinition:
    """Put the choices below everything that the definition sets."""
    arguments = {choice.name: choice.value for choice in choices if not choice.name.isupper()}
    environment = {choice.name: str(choice.value) for choice in choices if choice.name.isupper()}
    return msgspec.structs.replace(
        definition,
        arguments={**arguments, **definition.arguments},
        environment={**environment, **definition.environment},
    )


def _said(definition: ModelDefinition, device: Device, chosen: set[str]) -> list[Choice]:
    arguments = effective_arguments(definition, device)
    environment = effective_environment(definition, device)
    described = {name: value for name, value in environment.items() if name.startswith(TOLD_PREFIXES)}
    everything: dict[str, ArgumentValue] = {**arguments, **described}
    return [Choice(name, value, SAID) for name, value in everything.items() if name not in chosen]


def described(profile: Profile, lowered: Mapping[str, ArgumentValue]) -> tuple[ProfileSetting, ...]:
    """The settings for the event. `lowered` has the settings with which memory ran out, and their values then."""
    settings = profile.settings[:SETTINGS_MAX]
    return tuple(
        ProfileSetting(
            name=setting.name,
            value=str(setting.value if isinstance(setting.value, str) else json.dumps(setting.value))[:VALUE_CHARS_MAX],
            reason=f"memory ran out with {lowered[setting.name]}" if setting.name in lowered else setting.reason,
        )
        for setting in settings
    )


def in_words(setting: ProfileSetting) -> str:
    """Describe a setting: `float32`, `cores 0,1`, `4 threads`, `block-size 32`, `enforce-eager`."""
    match setting.name:
        case name if name == DTYPE and setting.value != "auto":
            return setting.value
        case name if name == BINDING:
            return "threads on any core" if setting.value == NO_BINDING else f"cores {setting.value}"
        case name if name == THREADS:
            return f"{setting.value} threads"
        case name if name == WAITING and setting.value == ASLEEP:
            return "threads asleep while they wait"
        case name:
            return name if setting.value == "true" else f"{name} {setting.value}"
