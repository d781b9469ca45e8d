"""How long a model needs to come back from sleep, beside a cold start, through the runner's own model cache."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from statistics import median

from vbatch.contracts.models import ModelDefinition
from vbatch.gpu_runner.adapters.engine.pool.model_cache import CachedEngine, ModelCache


@dataclass(frozen=True)
class Sleeping:
    """The seconds of cold starts and of wakes. A swap that did not wake the sleeper, because it was unhealthy or
    answered otherwise than before, is a `failed_count`. `residue_bytes` is what a sleeper leaves on the device."""

    cold_seconds: float
    wake_seconds: tuple[float, ...]
    failed_count: int
    residue_bytes: int

    @property
    def wake_seconds_median(self) -> float | None:
        return median(self.wake_seconds) if self.wake_seconds else None


async def sleeping(launcher: ModelCache, one: ModelDefinition, other: ModelDefinition, swaps: int) -> Sleeping:
    """Let two models take turns this many times; the launcher must keep one of them awake and one asleep. Raises
    EngineFailed."""
    seconds: list[float] = []
    engines: list[CachedEngine] = []
    try:
        for number in range(swaps + 2):
            if engines:
                await engines[-1].release()
            engine, took = await _launched(launcher, other if number % 2 else one)
            engines.append(engine)
            seconds.append(took)
    finally:
        if engines:
            await engines[-1].stop()
        await launcher.close()
    is_woken = [later.loaded is earlier.loaded for earlier, later in zip(engines, engines[2:], strict=False)]
    wakes = tuple(took for took, woken in zip(seconds[2:], is_woken, strict=True) if woken)
    residues = [engine.loaded.residue_bytes or 0 for engine in engines]
    return Sleeping(median(seconds[:2]), wakes, swaps - len(wakes), max(residues))


async def _launched(launcher: ModelCache, definition: ModelDefinition) -> tuple[CachedEngine, float]:
    clock = asyncio.get_running_loop().time
    began = clock()
    return await launcher.launch(definition), clock() - began
