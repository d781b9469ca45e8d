"""Keeps what was measured about models on this device: one file for each device, model and version of the engine."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog

from vbatch.chassis.files import write_atomically
from vbatch.contracts.models import ArgumentValue, ModelDefinition
from vbatch.gpu_runner.adapters.engine.pool.origins import engine_version
from vbatch.gpu_runner.core.command import Device
from vbatch.gpu_runner.core.idle_tuning import Tuned

GIB = 1 << 30
FILE_BYTES_MAX = 64 * 1024

log = structlog.stdlib.get_logger("vbatch.gpu_runner")


class _Key(msgspec.Struct, frozen=True):
    """What a measurement holds for. Memory is in GiB: the kernel keeps a little more or less at each boot."""

    device: str
    features: list[str]
    core_count: int
    quota: float | None
    memory_gib: int
    engine: str
    model: ModelDefinition


class _Kept(msgspec.Struct, frozen=True):
    key: _Key
    changes: dict[str, ArgumentValue]
    rate_before: float
    rate: float


@dataclass(frozen=True)
class TunedFiles:
    """The files in one folder. A file that cannot be read counts as missing, so the model is measured again."""

    folder: Path
    device: Device
    engine_python: Path

    async def find(self, definition: ModelDefinition) -> Tuned | None:
        return await asyncio.to_thread(self._find, definition)

    async def keep(self, definition: ModelDefinition, tuned: Tuned) -> None:
        try:
            await asyncio.to_thread(self._keep, definition, tuned)
        except OSError as error:
            log.warning("tuned_settings_not_kept", model=definition.id, reason=str(error))

    def _find(self, definition: ModelDefinition) -> Tuned | None:
        path = self._path(definition)
        try:
            content = path.read_bytes() if path.stat().st_size <= FILE_BYTES_MAX else b""
            kept = msgspec.json.decode(content, type=_Kept)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            log.warning("tuned_settings_unreadable", path=str(path), reason=str(error))
            return None
        return Tuned(kept.changes, kept.rate_before, kept.rate)

    def _keep(self, definition: ModelDefinition, tuned: Tuned) -> None:
        kept = _Kept(self._key(definition), tuned.changes, tuned.rate_before, tuned.rate)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(self._path(definition), msgspec.json.format(msgspec.json.encode(kept)))

    def _path(self, definition: ModelDefinition) -> Path:
        digest = hashlib.sha256(msgspec.json.encode(self._key(definition), order="sorted")).hexdigest()
        return self.folder / f"{digest[:32]}.json"

    def _key(self, definition: ModelDefinition) -> _Key:
        processor = self.device.processor
        return _Key(
            device=self.device.name,
            features=sorted(processor.features) if processor else [],
            core_count=len(processor.logical_cores) if processor else 0,
            quota=processor.quota if processor else None,
            memory_gib=round(self.device.memory_bytes / GIB),
            engine=engine_version(definition, self.engine_python),
            model=definition,
        )
