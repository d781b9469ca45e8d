"""Settings that an idle runner measures, on processes that take vLLM's command line and simulate: their speed depends
on the dtype."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests.integration.gpu_runner.conftest import LIMITS, RUNNER, Bench, living, of_type, processes_of, simulated
from tests.unit.gpu_runner.test_model_files import CONFIG
from vbatch.contracts.events import ProfileTuned
from vbatch.contracts.ids import ModelId
from vbatch.contracts.models import DeviceOverrides, ModelDefinition
from vbatch.gpu_runner.core.command import Device, DeviceKind
from vbatch.gpu_runner.core.idle_tuning import IdleTuning
from vbatch.gpu_runner.core.processor import LogicalCore, Processor

TUNED_SECONDS_MAX = 120.0
CHANGED_SECONDS_MAX = 30.0
UNKNOWN = Device(
    DeviceKind.CPU,
    "a processor of tomorrow",
    16 << 30,
    cores=(0, 1),
    processor=Processor("of tomorrow", frozenset(), (LogicalCore(0, 0), LogicalCore(1, 1))),
)
IDLE = replace(LIMITS, idle_tuning_rest_seconds=0.2, standby_spare_bytes=0)
PYTHON_OF_VLLM = """#!{python}
import os, sys

def value(name, usual=""):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else usual

latency = "0.001" if value("--dtype") == "float32" else "0.3"
arguments = ["--uds", value("--uds"), "--model", value("--served-model-name"), "--latency-seconds", latency]
size = ["--max-num-seqs", value("--max-num-seqs")]
os.execv({python!r}, [{python!r}, "-m", "vbatch.gpu_runner.simulated", *arguments, *size])
"""


@pytest.fixture
def engine_python(home: Path) -> Path:
    folder = home / "engine" / "bin"
    folder.mkdir(parents=True)
    program = folder / "python"
    program.write_text(PYTHON_OF_VLLM.format(python=sys.executable))
    program.chmod(0o755)
    return program


@pytest.fixture
def model(home: Path) -> ModelDefinition:
    """A model of which only the dtype is left open."""
    folder = home / "small"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    header = json.dumps({"w": {"data_offsets": [0, 1_000_000]}}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    said = {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_CPU_KVCACHE_SPACE": "1"}
    return ModelDefinition(
        id=ModelId("small"),
        folder=str(folder),
        max_num_seqs=16,
        arguments={"max-model-len": 256, "enforce-eager": True},
        cpu=DeviceOverrides(environment=said),
    )


def trials(home: Path) -> set[int]:
    return {process.pid for process in processes_of(home / "run" / f"{RUNNER}-trial")}


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(CHANGED_SECONDS_MAX):
        while not holds():  # noqa: ASYNC110  # processes tell nobody of their start and end
            await asyncio.sleep(0.02)


async def test_a_batch_ends_the_measuring_at_once_and_the_result_is_told_and_kept(
    bench: Bench, home: Path, engine_python: Path, model: ModelDefinition
):
    await bench.register(model)
    async with living(bench, home, IDLE, engine_python=engine_python, device=UNKNOWN):
        await bench.outcomes(await bench.run_slice("small", 4), 4)
        await until(lambda: bool(trials(home)))
        interrupted = trials(home)
        await bench.outcomes(await bench.run_slice("small", 4), 4)
        await until(lambda: not any(psutil.pid_exists(pid) for pid in interrupted))
        events = await bench.wait(lambda seen: bool(of_type(seen, ProfileTuned)), TUNED_SECONDS_MAX)
        (told,) = of_type(events, ProfileTuned)
        assert [(setting.name, setting.value) for setting in told.changes] == [("dtype", "float32")]
        assert told.device == UNKNOWN.name and told.rate > told.rate_before
        assert len(list((home / "tuned").iterdir())) == 1
        await until(lambda: not trials(home))


async def test_a_simulated_engine_is_never_measured(bench: Bench, home: Path):
    always = replace(IDLE, idle_tuning=IdleTuning.ALWAYS, idle_tuning_rest_seconds=0.01)
    await bench.register(simulated("small"))
    async with living(bench, home, always, device=UNKNOWN):
        await bench.outcomes(await bench.run_slice("small", 4), 4)
        await bench.outcomes(await bench.run_slice("small", 4), 4)
        assert not trials(home) and not (home / "tuned").exists()
