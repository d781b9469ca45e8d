"""A cold start of the engine without this server: spawned with the same arguments, until its first token."""

from __future__ import annotations

import asyncio
import json
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil

from benchmarks.swap_study.models import Contender, Pair
from tests.support.paths import ROOT
from vbatch.contracts.models import ModelDefinition
from vbatch.gpu_runner.adapters.device import detect
from vbatch.gpu_runner.adapters.engine.pool.launcher import EngineLauncher, RunningEngine
from vbatch.gpu_runner.adapters.engine.process.runner_paths import RunnerPaths
from vbatch.gpu_runner.core.limits import Limits

LIMITS = Limits(has_standby=False)


@dataclass(frozen=True)
class ColdStart:
    seconds: float
    cpu_seconds: float


def cold_starts(engine_python: Path, prepare: Path, home: Path, pair: Pair) -> list[ColdStart]:
    """One cold start of each model. Its package is prepared and read once beforehand, so that the disk is not
    measured."""
    paths = RunnerPaths(home, "cold", engine_python, prepare)
    return asyncio.run(_all(paths, [pair.one, pair.other]))


async def _all(paths: RunnerPaths, contenders: list[Contender]) -> list[ColdStart]:
    launcher = EngineLauncher(paths, await detect(), LIMITS)
    definitions = _definitions()
    for contender in contenders:
        await _one(launcher, definitions[contender.model], contender)
    return [await _one(launcher, definitions[contender.model], contender) for contender in contenders]


async def _one(launcher: EngineLauncher, definition: ModelDefinition, contender: Contender) -> ColdStart:
    began = time.monotonic()
    engine = await launcher.launch(definition)
    try:
        answer = await engine.ask(contender.endpoint, json.dumps(contender.line(1)["body"]).encode())
        if answer.status_code != 200:
            sys.exit(f"{definition.id} answered {answer.status_code}: nothing was measured")
        return ColdStart(time.monotonic() - began, _cpu_seconds(engine))
    finally:
        await engine.stop()


def _cpu_seconds(engine: RunningEngine) -> float:
    assert engine.child is not None
    below = psutil.Process(engine.child.pid).children(recursive=True)
    times = [process.cpu_times() for process in below]
    return sum(time.user + time.system + time.children_user + time.children_system for time in times)


def _definitions() -> dict[str, ModelDefinition]:
    entries = tomllib.loads((ROOT / "models.toml").read_text())["model"]
    found = [msgspec.convert(entry, ModelDefinition) for entry in entries]
    return {str(model.id): model for model in found}
