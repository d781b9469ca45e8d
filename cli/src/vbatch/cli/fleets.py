"""Which servers a model runs on when it is served elsewhere, and whether they answer from this machine."""

from __future__ import annotations

import asyncio
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from vbatch.chassis.settings import file_table
from vbatch.contracts.models import EngineKind, ModelDefinition
from vbatch.gpu_runner.adapters.engine.fleet.targets import Targets
from vbatch.gpu_runner.adapters.engine.http.client import PROBE_SECONDS_MAX, EngineClient
from vbatch.gpu_runner.adapters.engine.http.connection_pool import TcpTarget
from vbatch.gpu_runner.ports import EngineFailed

MODELS_VARIABLE, MODELS_NAME = "VBATCH_GATEWAY_MODELS_FILE", "models.toml"
NO_ANSWER = "it does not answer"


@dataclass(frozen=True, slots=True)
class Server:
    """One replica or, if that could not be found out, all of a model. `trouble` is empty for a server that answers."""

    name: str
    trouble: str = ""


async def servers_of(definition: ModelDefinition) -> list[Server]:
    """Return the replicas of a model, each of them asked once."""
    try:
        found = await Targets(definition).look()
    except EngineFailed as error:
        return [Server(" ".join(definition.urls), str(error))]
    except (OSError, TimeoutError) as error:
        return [Server(" ".join(definition.urls), f"its name is not found: {error}")]
    return list(await asyncio.gather(*(_asked(name, target) for name, target in found.items())))


def models_elsewhere() -> list[ModelDefinition]:
    """Return the models of models.toml that run elsewhere; none if the file does not exist or cannot be read."""
    path = os.environ.get(MODELS_VARIABLE) or file_table("gateway").get("models_file", MODELS_NAME)
    try:
        entries = tomllib.loads(Path(str(path)).read_text()).get("model", [])
        found = msgspec.convert(entries, list[ModelDefinition])
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError):
        return []
    return [model for model in found if model.engine is EngineKind.HTTP and model.source_fault() is None]


async def _asked(name: str, target: TcpTarget) -> Server:
    client = EngineClient(target, request_seconds_max=PROBE_SECONDS_MAX)
    try:
        return Server(name, "" if await client.is_healthy() else NO_ANSWER)
    finally:
        await client.close()
