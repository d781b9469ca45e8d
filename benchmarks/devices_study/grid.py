"""Requests per second of one model with the device's choices, with vLLM's defaults, and with a small grid around
them."""

from __future__ import annotations

import asyncio
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from benchmarks.devices_study.processors import Pretended, taken_for
from tests.support.paths import ROOT
from vbatch.contracts.models import ArgumentValue, ModelDefinition
from vbatch.gpu_runner.adapters.device import detect
from vbatch.gpu_runner.adapters.engine.pool.launcher import EngineLauncher
from vbatch.gpu_runner.adapters.engine.pool.model_cache import ModelCache
from vbatch.gpu_runner.adapters.engine.process.child import Child
from vbatch.gpu_runner.adapters.engine.process.runner_paths import RunnerPaths
from vbatch.gpu_runner.core.command import Device, EngineCommand
from vbatch.gpu_runner.core.limits import Limits
from vbatch.gpu_runner.core.tuning import Candidate, Trial
from vbatch.gpu_runner.flows.tuning import tried

CHOSEN, DEFAULT = "chosen", "default"
DTYPES = ("bfloat16", "float16", "float32")


@dataclass(frozen=True)
class Point:
    """One point of the grid: a name for the figures, and what differs from the device's choices. For `DEFAULT`, the
    device chooses nothing."""

    name: str
    changes: dict[str, ArgumentValue]
    requests: int


@dataclass(frozen=True)
class Lab:
    """Where engines are started: models prepared in `home` are kept."""

    engine_python: Path
    home: Path

    @property
    def workshop(self) -> RunnerPaths:
        return RunnerPaths(self.home, "devices", self.engine_python, ROOT / "deploy" / "engine" / "prepare_model.py")


def measured(lab: Lab, model: str, processor: Pretended, points: Sequence[Point]) -> Iterator[tuple[str, Trial]]:
    """The trials with the names of their points, one engine after the other."""
    for point in points:
        yield point.name, asyncio.run(_measured(lab, definition_of(model), processor, point))


async def prepared(lab: Lab, definitions: Sequence[ModelDefinition]) -> None:
    """Prepare the models that come in packages, if they are not ready. This is not part of the measurement."""
    for definition in definitions:
        package = definition.package or ""
        target = lab.home / "models" / package
        target.parent.mkdir(parents=True, exist_ok=True)  # nothing else runs yet
        command = (str(lab.engine_python), str(lab.workshop.prepare_script), package, str(target))
        child = await Child.start(EngineCommand(command), lab.workshop.process_paths("prepare", 3.0))
        if await child.wait():
            raise SystemExit(f"{package} could not be prepared: {child.last_words()}")


def definition_of(model: str) -> ModelDefinition:
    entries = tomllib.loads((ROOT / "models.toml").read_text())["model"]
    return next(definition for definition in msgspec.convert(entries, list[ModelDefinition]) if definition.id == model)


def grid(requests: int, chosen_dtype: str, *, has_prompts: bool) -> Iterator[Point]:
    """The points of the grid: the device's choices; vLLM's defaults with models.toml alone; then each choice changed by
    itself, including the size of a step for a model with prompts.

    A dtype that is several times slower gets fewer requests: they are enough for its rate.
    """
    yield Point(CHOSEN, {}, requests)
    yield Point(DEFAULT, {}, requests // 2)
    for dtype in DTYPES:
        if dtype != chosen_dtype:
            yield Point(dtype, {"dtype": dtype}, requests // 4)
    if has_prompts:
        yield Point("step_8192", {"max-num-batched-tokens": 8192}, requests)


async def _measured(lab: Lab, definition: ModelDefinition, processor: Pretended, point: Point) -> Trial:
    device = await detect(cpu_features=processor.features)
    with taken_for(processor):
        return await _trial(point, definition, device, lab)


async def _trial(point: Point, definition: ModelDefinition, found: Device, lab: Lab) -> Trial:
    device = replace(found, processor=None, cores=()) if point.name == DEFAULT else found
    limits = Limits(has_standby=False)
    engines = EngineLauncher(lab.workshop, device, limits)
    launcher = ModelCache(engines, device, limits, asyncio.get_running_loop().time)
    trial = await tried(Candidate(point.changes), definition, device, launcher, point.requests)
    said = trial.fault or f"{trial.requests_a_second:.2f} requests/s, up in {trial.start_seconds:.0f} s"
    sys.stderr.write(f"{definition.id} {point.name}: {said}\n")
    return trial
