"""Requests per second of one model with the device's choices, beside vLLM's defaults and the grid of `vbatch tune`."""

from __future__ import annotations

import asyncio
import sys
import tomllib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import msgspec
import psutil

from benchmarks.devices_study.pairs import PAIRS_MAX, Comparison, Round, pairs_of
from benchmarks.devices_study.processors import Pretended, taken_for
from tests.support.paths import ROOT
from vbatch.contracts.models import ArgumentValue, ModelDefinition
from vbatch.gpu_runner.adapters.device import detect
from vbatch.gpu_runner.adapters.engine.pool.launcher import EngineLauncher
from vbatch.gpu_runner.adapters.engine.pool.model_cache import CachedEngine, ModelCache
from vbatch.gpu_runner.adapters.engine.process.child import Child
from vbatch.gpu_runner.adapters.engine.process.runner_paths import RunnerPaths
from vbatch.gpu_runner.core.choices import DTYPE, EAGER
from vbatch.gpu_runner.core.command import Device, EngineCommand
from vbatch.gpu_runner.core.limits import Limits
from vbatch.gpu_runner.core.tuning import Candidate, candidates
from vbatch.gpu_runner.flows.tuning import WARM_UP_REQUESTS, measured_rate
from vbatch.gpu_runner.ports import AnswerTooLarge, ConnectionLost, EngineFailed, RequestTimedOut

CHOSEN, DEFAULT, ITSELF = "chosen", "default", "itself"

OnCompared = Callable[[Comparison], None]


@dataclass(frozen=True)
class Point:
    """One point of the grid: a name for the figures, and what differs from the device's choices. For `DEFAULT`, the
    device chooses nothing."""

    name: str
    changes: dict[str, ArgumentValue] = field(default_factory=dict)


@dataclass(frozen=True)
class Lab:
    """Where engines are started: models prepared in `home` are kept. Rounds of `requests` are measured, `pairs_max`
    times at most. `points` names those to measure, all of them if it is empty."""

    engine_python: Path
    home: Path
    pairs_max: int = PAIRS_MAX
    points: tuple[str, ...] = ()

    def paths(self, name: str) -> RunnerPaths:
        """The paths of one of the two engines that are up together."""
        return RunnerPaths(self.home, name, self.engine_python, ROOT / "deploy" / "engine" / "prepare_model.py")


async def prepared(lab: Lab, definitions: Sequence[ModelDefinition]) -> None:
    """Prepare the models that come in packages, if they are not ready. This is not part of the measurement."""
    for definition in definitions:
        package = definition.package or ""
        target = lab.home / "models" / package
        target.parent.mkdir(parents=True, exist_ok=True)  # nothing else runs yet
        paths = lab.paths(CHOSEN)
        command = (str(lab.engine_python), str(paths.prepare_script), package, str(target))
        child = await Child.start(EngineCommand(command), paths.process_paths("prepare", 3.0))
        if await child.wait():
            raise SystemExit(f"{package} could not be prepared: {child.last_words()}")


def definition_of(model: str) -> ModelDefinition:
    entries = tomllib.loads((ROOT / "models.toml").read_text())["model"]
    return next(definition for definition in msgspec.convert(entries, list[ModelDefinition]) if definition.id == model)


async def compared(
    lab: Lab, definition: ModelDefinition, processor: Pretended, requests: int, described: OnCompared
) -> None:
    """Compare the device's choices with each point of the grid, both engines loaded and answering in turn; `described`
    receives each comparison as soon as it is measured. The choices themselves must start."""
    device = await detect(cpu_features=processor.features)
    with taken_for(processor):
        chosen = _launcher(lab, CHOSEN, device)
        completed = (await chosen.profile(definition)).definition
        async with _up(chosen, completed) as (engine, start_seconds):
            sys.stderr.write(f"{definition.id} {CHOSEN}: up in {start_seconds:.0f} s\n")
            found = _points(completed, device, processor)
            for point in [point for point in found if not lab.points or point.name in lab.points]:
                compare = partial(_compared, lab, engine, point, requests)
                described(await compare(definition if point.name == DEFAULT else completed, device))


def _points(completed: ModelDefinition, device: Device, processor: Pretended) -> list[Point]:
    """The points: the choices themselves, whose ratio is what the noise makes of 1; vLLM's defaults with models.toml
    alone; and the first round of `vbatch tune`. For a pretended processor, only what bfloat16 would cost."""
    if processor.features:
        return [Point("bfloat16", {DTYPE: "bfloat16"})]
    grid = [Point(_name(candidate), dict(candidate.changes)) for candidate in candidates(completed, device)[1:]]
    return [Point(ITSELF), Point(DEFAULT), *grid]


def _name(candidate: Candidate) -> str:
    """A key for the figures: `max_num_seqs_64`, `compiled`."""
    if candidate.changes.get(EAGER) is False:
        return "compiled"
    return "_".join(f"{name}_{value}".replace("-", "_") for name, value in candidate.changes.items())


async def _compared(
    lab: Lab, chosen: CachedEngine, point: Point, requests: int, definition: ModelDefinition, device: Device
) -> Comparison:
    found = replace(device, processor=None, cores=()) if point.name == DEFAULT else device
    launcher = _launcher(lab, "point", found)
    tried = Candidate(point.changes).applied(definition, found)
    try:
        async with _up(launcher, tried) as (engine, start_seconds):
            pairs = await pairs_of(partial(_round, chosen), partial(_round, engine), requests, lab.pairs_max)
            comparison = Comparison(point.name, pairs, start_seconds)
    except (EngineFailed, ConnectionLost, RequestTimedOut, AnswerTooLarge) as error:
        comparison = Comparison(point.name, fault=str(error) or type(error).__name__)
    sys.stderr.write(f"{definition.id} {_told(comparison)}\n")
    return comparison


async def _round(engine: CachedEngine, requests: int) -> Round:
    before = _cpu_seconds(engine)
    rate = await measured_rate(engine, requests)
    return Round(rate, (_cpu_seconds(engine) - before) / (requests + WARM_UP_REQUESTS))


def _cpu_seconds(engine: CachedEngine) -> float:
    """The processor time of all processes of the engine so far."""
    child = engine.loaded.engine.child
    assert child is not None, "the engine is a process of ours"
    below = psutil.Process(child.pid).children(recursive=True)
    times = [process.cpu_times() for process in below]
    return sum(each.user + each.system for each in times)


def _told(comparison: Comparison) -> str:
    if comparison.fault:
        return f"{comparison.name}: {comparison.fault}"
    ratios = ", ".join(f"{pair.ratio:.3f}" for pair in comparison.pairs)
    rates = f"{comparison.point_rate:.2f} requests/s where the choices made {comparison.chosen_rate:.2f}"
    cpu = "unknown" if comparison.cpu_ratio is None else f"{comparison.cpu_ratio:.3f}"
    return (
        f"{comparison.name}: {rates} (ratios {ratios}; of processor time {cpu}), up in {comparison.start_seconds:.0f} s"
    )


def _launcher(lab: Lab, name: str, device: Device) -> ModelCache:
    limits = Limits(has_standby=False)
    return ModelCache(EngineLauncher(lab.paths(name), device, limits), device, limits, asyncio.get_running_loop().time)


@asynccontextmanager
async def _up(launcher: ModelCache, definition: ModelDefinition) -> AsyncIterator[tuple[CachedEngine, float]]:
    """An engine that answers, and after how many seconds it did. Raises EngineFailed."""
    clock = asyncio.get_running_loop().time
    began = clock()
    engine = await launcher.launch(definition)
    try:
        yield engine, clock() - began
    finally:
        await engine.stop()
        await launcher.close()
