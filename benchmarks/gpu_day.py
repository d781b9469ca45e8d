"""A day with a GPU, in twelve minutes: what only such a machine can show. `benchmarks/gpu_day.sh` runs the parts one
after the other; each adds its figures to benchmarks/results/gpu_day.json, and `table` fills the table of
docs/performance.md from them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from benchmarks import report
from benchmarks.devices_study.grid import definition_of
from benchmarks.engine_study.figures import names, rate
from benchmarks.engine_study.laps import BENCH, BY_HAND, OURS
from benchmarks.engine_study.study import PLAIN, Choices, study
from benchmarks.engine_study.workloads import Sizes
from benchmarks.gpu_day_study.climbing import climbed
from benchmarks.gpu_day_study.fitting import fitted
from benchmarks.gpu_day_study.sleeping import sleeping
from benchmarks.gpu_day_study.table import filled
from tests.support.paths import ROOT
from vbatch.gpu_runner.adapters.device import detect
from vbatch.gpu_runner.adapters.engine.pool.launcher import EngineLauncher
from vbatch.gpu_runner.adapters.engine.pool.model_cache import ModelCache
from vbatch.gpu_runner.adapters.engine.process.runner_paths import RunnerPaths
from vbatch.gpu_runner.adapters.gpu_metrics import Gpu, GpuReading
from vbatch.gpu_runner.adapters.gpus import read_gpus
from vbatch.gpu_runner.core.command import Device, DeviceKind
from vbatch.gpu_runner.core.fit import GIB
from vbatch.gpu_runner.core.limits import Limits

Figures = dict[str, report.Figure]

NAME = "gpu_day"
NO_GPU = "no GPU here: these figures need an NVIDIA GPU whose driver answers (nvidia-smi)"
CHAT, EMBEDDING = "HuggingFaceTB/SmolLM2-135M-Instruct", "sentence-transformers/all-MiniLM-L6-v2"
PAGE = ROOT / "docs" / "performance.md"
RESULT = report.RESULTS / f"{NAME}.json"
FIT_REQUESTS, ENGINE_REQUESTS, SWAPS = 4_096, 8_192, 6
TOO_SMALL_SHARE = 0.01
"""The share of the device's memory with which the ladder begins: its cache has no room beside the weights."""
HAND_WINDOW = 512


def main(arguments: argparse.Namespace) -> None:
    if arguments.part == "table":
        PAGE.write_text(filled(PAGE.read_text(), arguments.result))
        return
    device = asyncio.run(detect())
    if device.kind is not DeviceKind.NVIDIA:
        sys.exit(NO_GPU)
    began = time.monotonic()
    figures = PARTS[arguments.part](device)
    figures[f"{arguments.part}_part_seconds"] = round(time.monotonic() - began, 1)
    for name, value in figures.items():
        sys.stdout.write(f"{name:48} {value}\n")
    report.write(NAME, ["benchmarks/gpu_day.sh"], {**_written(), **figures})


def _written() -> Mapping[str, report.Figure]:
    """The figures of the parts that ran before."""
    return json.loads(RESULT.read_text())["figures"] if RESULT.exists() else {}


def nvml(device: Device) -> Figures:
    """What the driver says, with nothing loaded. It begins a new result file."""
    RESULT.unlink(missing_ok=True)
    gpus, reading = read_gpus(), Gpu(device.index).read() or GpuReading()
    gpu = gpus.gpus[device.index]
    return {
        "gpu_name": gpu.name,
        "gpu_driver": gpus.driver,
        "gpu_cuda": gpus.cuda,
        "gpu_compute_capability": gpu.capability,
        "gpu_memory_gib": _gib(gpu.memory_bytes),
        "gpu_power_limit_watts": gpu.power_limit_watts,
        "gpu_idle_watts": reading.power_watts,
        "gpu_idle_celsius": reading.temperature_celsius,
        "gpu_idle_used_gib": _gib(reading.memory_used_bytes),
    }


def fit(device: Device) -> Figures:
    found = asyncio.run(fitted(_cache(device, Limits(has_standby=False)), definition_of(CHAT), device, FIT_REQUESTS))
    return {
        "fit_calculated_gib": _gib(found.calculated_bytes),
        "fit_measured_gib": _gib(found.measured_bytes),
        "fit_start_seconds": round(found.start_seconds, 1),
        "fit_requests_per_second": round(found.requests_per_second, 1),
        "fit_watts_max": found.watts_max,
        "fit_utilization_max": found.utilization_max,
    }


def sleep(device: Device) -> Figures:
    limits = Limits(has_standby=False, residents_max=1, sleepers_max=1)
    found = asyncio.run(sleeping(_cache(device, limits), definition_of(CHAT), definition_of(EMBEDDING), SWAPS))
    median_seconds = found.wake_seconds_median
    return {
        "sleep_cold_seconds": round(found.cold_seconds, 1),
        "sleep_wake_seconds_median": None if median_seconds is None else round(median_seconds, 2),
        "sleep_wakes": f"{len(found.wake_seconds)}, {found.failed_count}",
        "sleep_residue_gib": _gib(found.residue_bytes),
    }


def ladder(device: Device) -> Figures:
    small = {"gpu-memory-utilization": TOO_SMALL_SHARE, "enforce-eager": True}
    chat = definition_of(CHAT)
    definition = msgspec.structs.replace(chat, arguments={**chat.arguments, **small})
    found = asyncio.run(climbed(_launcher(device, Limits(has_standby=False)), definition, device))
    return {
        "ladder_rungs": "; ".join(map(str, found.rungs)) or "none",
        "ladder_seconds": round(found.seconds, 1),
        "ladder_fault": found.fault[:200] or None,
    }


def engine(device: Device) -> Figures:
    choices = Choices(
        model=CHAT,
        models_file=ROOT / "models.toml",
        engine_python=ROOT / ".engine" / "bin" / "python",
        prepared_folder=ROOT / "var" / "models",
        rounds=1,
        hand_window=HAND_WINDOW,
        sizes=Sizes(plain=ENGINE_REQUESTS),
        only=(PLAIN,),
        peers=(OURS, BY_HAND, BENCH),
    )
    done = study(choices)
    (workload,) = names(done, PLAIN)
    rates = {peer: _rate(rate(done, workload, peer)) for peer in (OURS, BY_HAND, BENCH)}
    return {
        "engine_ours_requests_per_second": rates[OURS],
        "engine_by_hand_requests_per_second": rates[BY_HAND],
        "engine_bench_throughput_requests_per_second": rates[BENCH],
        "engine_ours_vs_by_hand": _ratio(rates[OURS], rates[BY_HAND]),
        "engine_ours_vs_bench_throughput": _ratio(rates[OURS], rates[BENCH]),
    }


PARTS: Mapping[str, Callable[[Device], Figures]] = {
    "nvml": nvml,
    "fit": fit,
    "sleep": sleep,
    "ladder": ladder,
    "engine": engine,
}


def _launcher(device: Device, limits: Limits) -> EngineLauncher:
    script = ROOT / "deploy" / "engine" / "prepare_model.py"
    python = (ROOT / ".engine" / "bin" / "python").absolute()
    return EngineLauncher(RunnerPaths(ROOT / "var" / "gpu-day", "gpu0", python, script), device, limits)


def _cache(device: Device, limits: Limits) -> ModelCache:
    return ModelCache(_launcher(device, limits), device, limits, time.monotonic)


def _gib(count: float | None) -> float | None:
    return None if count is None else round(count / GIB, 2)


def _rate(found: float | None) -> float | None:
    return None if found is None else round(found, 2)


def _ratio(one: float | None, other: float | None) -> float | None:
    return round(one / other, 3) if one is not None and other else None


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_day", description=__doc__)
    parser.add_argument("part", choices=(*PARTS, "table"))
    parser.add_argument("--result", type=Path, default=RESULT, help="the file that `table` reads")
    return parser.parse_args()


if __name__ == "__main__":
    main(_arguments())
