"""What made the answers of a batch, as results stores it and the gateway shows it: enough to reproduce them."""

from __future__ import annotations

import msgspec

from vbatch.contracts.events import EngineOrigin, ProfileSetting
from vbatch.contracts.ids import ModelId, RunnerId


class EngineUse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One engine that answered requests of a batch: where it and its model came from, and everything that it was
    told."""

    model: ModelId
    runner_id: RunnerId
    device: str
    memory_bytes: int
    origin: EngineOrigin = EngineOrigin()
    profile: tuple[ProfileSetting, ...] = ()
