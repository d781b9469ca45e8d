"""Models that stay loaded while another serves: beside it, or asleep. On simulated engines as real processes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psutil

from tests.integration.gpu_runner.conftest import CHAT, LIMITS, RUNNER, simulated
from tests.support.processes import children, command_line
from vbatch.contracts.models import ModelDefinition
from vbatch.gpu_runner.adapters.engine.pool.launcher import EngineLauncher
from vbatch.gpu_runner.adapters.engine.pool.model_cache import CachedEngine, ModelCache
from vbatch.gpu_runner.adapters.engine.process.runner_paths import RunnerPaths
from vbatch.gpu_runner.core.command import Device, DeviceKind
from vbatch.gpu_runner.core.limits import Limits
from vbatch.gpu_runner.core.model_cache import WAKES_MAX

CPU = Device(DeviceKind.CPU, "cpu", 1 << 34)
ROOMY = replace(LIMITS, standby_spare_bytes=0)
SLEEPY = replace(ROOMY, residents_max=1, sleepers_max=2)
SMALL, OTHER = simulated("small", memory_bytes=1), simulated("other", memory_bytes=1)


@asynccontextmanager
async def model_cache(home: Path, limits: Limits = ROOMY) -> AsyncIterator[ModelCache]:
    engines = EngineLauncher(RunnerPaths(home, RUNNER, Path(sys.executable), home / "prepare.py"), CPU, limits)
    launcher = ModelCache(engines, CPU, limits, asyncio.get_running_loop().time)
    try:
        yield launcher
    finally:
        await launcher.close()
        assert not any(str(home) in " ".join(command_line(process)) for process in children(psutil.Process()))


async def used(launcher: ModelCache, definition: ModelDefinition) -> int:
    """The pid of the guard whose engine answered."""
    cached: CachedEngine = await launcher.launch(definition)
    body = b'{"model":"%s","messages":[{"role":"user","content":"hello"}]}' % definition.id.encode()
    answer = await cached.ask(CHAT, body)
    assert answer.status_code == 200 and b"[simulated] hello" in answer.body
    await cached.release()
    child = cached.loaded.engine.child
    assert child is not None
    return child.pid


async def test_a_model_that_fits_beside_the_other_is_still_there_when_it_is_wanted_again(home: Path):
    async with model_cache(home) as launcher:
        first, second = await used(launcher, SMALL), await used(launcher, OTHER)
        assert [await used(launcher, SMALL), await used(launcher, OTHER)] == [first, second]


async def test_a_model_of_unknown_size_has_the_device_alone(home: Path):
    async with model_cache(home) as launcher:
        first = await used(launcher, simulated("small"))
        await used(launcher, simulated("other"))
        assert not psutil.pid_exists(first)


async def test_one_that_died_while_it_waited_starts_anew(home: Path):
    async with model_cache(home) as launcher:
        first = await used(launcher, SMALL)
        psutil.Process(first).children()[0].kill()
        assert await used(launcher, SMALL) != first


async def test_a_changed_definition_starts_anew(home: Path):
    async with model_cache(home) as launcher:
        first = await used(launcher, SMALL)
        assert await used(launcher, simulated("small", memory_bytes=2)) != first


async def test_a_stopped_engine_is_not_kept(home: Path):
    async with model_cache(home) as launcher:
        cached = await launcher.launch(SMALL)
        child = cached.loaded.engine.child
        await cached.stop()
        assert child is not None and not child.is_running


async def test_a_model_sleeps_and_wakes_in_the_same_process(home: Path):
    async with model_cache(home, SLEEPY) as launcher:
        first, second = await used(launcher, SMALL), await used(launcher, OTHER)
        assert [await used(launcher, SMALL), await used(launcher, OTHER)] == [first, second]


async def test_one_that_wakes_up_talking_rubbish_starts_anew_and_nobody_hears_it(home: Path):
    async with model_cache(home, SLEEPY) as launcher:
        mad = simulated("small", memory_bytes=1, garbage_after_wakes=2)
        first = await used(launcher, mad)
        await used(launcher, OTHER)
        assert await used(launcher, mad) == first
        await used(launcher, OTHER)
        assert await used(launcher, mad) != first


async def test_after_so_many_wakes_a_model_is_stopped_instead(home: Path):
    async with model_cache(home, SLEEPY) as launcher:
        first = await used(launcher, SMALL)
        for _ in range(WAKES_MAX):
            await used(launcher, OTHER)
            assert await used(launcher, SMALL) == first
        await used(launcher, OTHER)
        assert await used(launcher, SMALL) != first
