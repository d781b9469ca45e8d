"""Whether a model that is started with too little memory comes up by the memory ladder, and in how many starts."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from vbatch.contracts.models import ModelDefinition
from vbatch.gpu_runner.adapters.engine.pool.launcher import EngineLauncher
from vbatch.gpu_runner.core.command import Device
from vbatch.gpu_runner.core.ladder import Ladder, Rung
from vbatch.gpu_runner.ports import EngineFailed


@dataclass(frozen=True)
class Climbed:
    """The rungs that were taken, and the seconds until the engine answered, all starts included. Without an engine that
    answers, `fault` says why."""

    rungs: tuple[Rung, ...]
    seconds: float
    fault: str = ""


async def climbed(launcher: EngineLauncher, definition: ModelDefinition, device: Device) -> Climbed:
    """Start the model, with less after each shortage, as the runner does."""
    ladder = Ladder(device)
    clock = asyncio.get_running_loop().time
    began, fault = clock(), ""
    while True:
        try:
            engine = await launcher.launch(ladder.applied(definition))
        except EngineFailed as error:
            if ladder.step_down(definition, str(error)) is None:
                fault = ladder.described(definition, str(error))
                break
        else:
            await engine.stop()
            break
    await launcher.close()
    return Climbed(ladder.rungs(definition), clock() - began, fault)
