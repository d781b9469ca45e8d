"""What the day with a GPU measures, on simulated engines as real processes: sleep mode and the memory ladder."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

from benchmarks.gpu_day_study.climbing import climbed
from benchmarks.gpu_day_study.fitting import fitted
from benchmarks.gpu_day_study.sleeping import sleeping
from tests.integration.gpu_runner.conftest import LIMITS, RUNNER, simulated
from vbatch.gpu_runner.adapters.engine.pool.launcher import EngineLauncher
from vbatch.gpu_runner.adapters.engine.pool.model_cache import ModelCache
from vbatch.gpu_runner.adapters.engine.process.runner_paths import RunnerPaths
from vbatch.gpu_runner.core.command import Device, DeviceKind
from vbatch.gpu_runner.core.limits import Limits

CPU = Device(DeviceKind.CPU, "cpu", 1 << 34)
ALONE = replace(LIMITS, standby_spare_bytes=0, residents_max=1)
ONE, OTHER = simulated("one", memory_bytes=1), simulated("other", memory_bytes=1)


def launcher(home: Path, limits: Limits = ALONE) -> EngineLauncher:
    return EngineLauncher(RunnerPaths(home, RUNNER, Path(sys.executable), home / "prepare.py"), CPU, limits)


def cache(home: Path, limits: Limits) -> ModelCache:
    return ModelCache(launcher(home, limits), CPU, limits, asyncio.get_running_loop().time)


async def test_with_sleep_mode_each_swap_wakes_a_sleeper(home: Path):
    found = await sleeping(cache(home, replace(ALONE, sleepers_max=1)), ONE, OTHER, swaps=3)
    assert len(found.wake_seconds) == 3 and found.failed_count == 0
    assert found.wake_seconds_median is not None and found.wake_seconds_median < found.cold_seconds


async def test_without_sleep_mode_no_swap_counts_as_a_wake(home: Path):
    found = await sleeping(cache(home, replace(ALONE, sleepers_max=0)), ONE, OTHER, swaps=2)
    assert found.wake_seconds == () and found.failed_count == 2


async def test_a_model_with_too_little_memory_climbs_until_it_answers(home: Path):
    found = await climbed(launcher(home), simulated("large", max_num_seqs=32, memory_seqs=8), CPU)
    assert [str(rung) for rung in found.rungs] == ["max-num-seqs 32 → 16", "max-num-seqs 16 → 8"]
    assert found.fault == "" and found.seconds > 0


async def test_a_model_that_fits_in_no_way_says_what_was_tried(home: Path):
    found = await climbed(launcher(home), simulated("huge", max_num_seqs=2, memory_seqs=-1), CPU)
    assert "The model does not fit" in found.fault and "tried max-num-seqs 2 → 1" in found.fault


async def test_without_a_driver_the_rate_is_measured_and_the_memory_is_not_known(home: Path):
    found = await fitted(cache(home, ALONE), simulated("small"), CPU, requests=64)
    assert found.requests_per_second > 0 and found.start_seconds > 0
    assert found.measured_bytes is None and found.watts_max is None and found.utilization_max is None
