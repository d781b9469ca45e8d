"""Starts engines that are only measured, beside those that serve: they take no memory that another model uses, give
way to every other process, and are killed at once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from vbatch.contracts.events import EngineOrigin
from vbatch.contracts.models import ModelDefinition
from vbatch.gpu_runner.adapters.device import DeviceTrouble, free_bytes, machine_free_bytes
from vbatch.gpu_runner.adapters.engine.pool.launcher import EngineLauncher
from vbatch.gpu_runner.adapters.engine.pool.model_cache import CachedEngine, ModelCache
from vbatch.gpu_runner.adapters.engine.pool.standby import NICENESS_BESIDE_WORK
from vbatch.gpu_runner.adapters.engine.process.runner_paths import RunnerPaths
from vbatch.gpu_runner.core.command import Device
from vbatch.gpu_runner.core.fit import GIB
from vbatch.gpu_runner.core.limits import Limits
from vbatch.gpu_runner.core.profile import Profile
from vbatch.gpu_runner.ports import EngineFailed


def trial_paths(paths: RunnerPaths) -> RunnerPaths:
    """The sockets, logs and records of pids of these engines lie beside those of the engines that serve."""
    return replace(paths, runner_id=f"{paths.runner_id}-trial")


@dataclass(frozen=True)
class Trials:
    """A launcher of one engine at a time."""

    launcher: ModelCache
    device: Device
    spare_bytes: int

    @classmethod
    def beside(cls, paths: RunnerPaths, device: Device, limits: Limits) -> Trials:
        own = replace(limits, has_standby=False, sleepers_max=0, engine_stop_seconds=0.0)
        engines = EngineLauncher(trial_paths(paths), device, own, niceness=NICENESS_BESIDE_WORK)
        cache = ModelCache(engines, device, own, asyncio.get_running_loop().time)
        return cls(cache, device, limits.standby_spare_bytes)

    async def profile(self, definition: ModelDefinition) -> Profile:
        return await self.launcher.profile(definition)

    async def origin(self, definition: ModelDefinition) -> EngineOrigin:
        return await self.launcher.origin(definition)

    async def launch(self, definition: ModelDefinition) -> CachedEngine:
        """Start the engine if there is memory for it. Raises EngineFailed for every trouble: a trial may fail, but must
        not end the runner."""
        try:
            await self._check_memory(definition)
            return await self.launcher.launch(definition)
        except (DeviceTrouble, OSError) as error:
            raise EngineFailed(str(error)) from error

    async def _check_memory(self, definition: ModelDefinition) -> None:
        need = await self.launcher.launcher.need(definition)
        free = await free_bytes(self.device)
        room = machine_free_bytes() - self.spare_bytes if free is None else free
        if need.device_bytes is None or need.device_bytes > room:
            wanted = "an unknown amount" if need.device_bytes is None else f"{need.device_bytes / GIB:.1f} GiB"
            raise EngineFailed(f"it takes {wanted}, and {max(0, room) / GIB:.1f} GiB are free beside the loaded models")
