"""Which engines gave the answers of a batch: the entries of its manifest, in the order of their first answer."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from vbatch.contracts import events as e
from vbatch.contracts.manifest import EngineUse
from vbatch.contracts.read_model.rows import RunnerRow

ENGINES_MAX = 64
"""The most entries of one batch. A new entry needs another model, runner or profile, so nearly all batches have one."""

_USES = msgspec.json.Decoder(tuple[EngineUse, ...])
_PROFILE = msgspec.json.Decoder(tuple[e.ProfileSetting, ...])
_ORIGIN = msgspec.json.Decoder(e.EngineOrigin)


def engine_use(runner: RunnerRow | None, chunk: e.ChunkCompleted) -> EngineUse | None:
    """The engine that gave these answers; None if the runner has since restarted or changed its model."""
    if runner is None or runner.epoch != chunk.epoch or runner.model != chunk.model:
        return None
    origin = _ORIGIN.decode(runner.origin) if runner.origin is not None else e.EngineOrigin()
    return EngineUse(
        model=chunk.model,
        runner_id=chunk.runner_id,
        device=runner.device,
        memory_bytes=runner.memory_bytes,
        origin=origin,
        profile=_PROFILE.decode(runner.profile) if runner.profile is not None else (),
    )


def with_engine(engines: str | None, use: EngineUse) -> str | None:
    """The JSON of the entries with this one, if it is new and there is room."""
    known: Sequence[EngineUse] = _USES.decode(engines) if engines is not None else ()
    if use in known or len(known) >= ENGINES_MAX:
        return engines
    return msgspec.json.encode((*known, use)).decode()
