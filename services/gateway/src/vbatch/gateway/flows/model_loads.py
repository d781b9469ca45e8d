"""How the loads of each model went, folded from the whole log, each event once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from vbatch.contracts import events as e
from vbatch.contracts.codec import Unreadable, decode
from vbatch.contracts.ids import ModelId
from vbatch.contracts.message import Recorded
from vbatch.gateway.core.server_views import LoadHistory, after_load
from vbatch.journal.port import Log

LOADS = ("evt.runner.*.model_loaded", "evt.runner.*.model_failed", "evt.runner.*.profile_lowered")


@dataclass(slots=True)
class ModelLoads:
    log: Log
    _folded: dict[ModelId, LoadHistory] = field(default_factory=dict)
    _sequence: int = 0
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def histories(self) -> Mapping[ModelId, LoadHistory]:
        """Return the history of each model up to now."""
        async with self._one_at_a_time:
            found = await asyncio.gather(*(self.log.last(subject) for subject in LOADS))
            newest = max((record.sequence for record in found if record is not None), default=0)
            if newest > self._sequence:
                await self._fold_to(newest)
            return dict(self._folded)

    async def _fold_to(self, newest: int) -> None:
        async with self.log.tail(self._sequence, LOADS) as tail:
            async for records in tail:
                for record in records:
                    self._fold(record)
                if self._sequence >= newest:
                    break

    def _fold(self, record: Recorded) -> None:
        self._sequence = record.sequence
        try:
            event = decode(record)
        except Unreadable:
            return
        if isinstance(event, e.ModelLoaded | e.ModelFailed | e.ProfileLowered):
            self._folded[event.model] = after_load(self._folded.get(event.model, LoadHistory()), event)
