"""Follows the registry in the log, so that interactive requests can be routed without the read model."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from vbatch.chassis.logs import get_logger
from vbatch.contracts import events as e
from vbatch.contracts.codec import Unreadable, decode
from vbatch.contracts.ids import ModelId
from vbatch.contracts.message import Recorded
from vbatch.contracts.models import ModelDefinition
from vbatch.contracts.subjects import MODEL_EVENTS
from vbatch.journal.port import Log, Unavailable

RETRY_SECONDS = 0.5


@dataclass
class ModelFeed:
    """`models` holds the models that requests may name now; it is folded while `run` runs."""

    log: Log
    models: dict[ModelId, ModelDefinition] = field(default_factory=dict)
    _sequence: int = 0
    _is_caught_up: asyncio.Event = field(default_factory=asyncio.Event)

    async def caught_up(self) -> None:
        """Wait until every model that the log held at the start is known."""
        await self._is_caught_up.wait()

    async def run(self) -> None:
        """Run until cancelled. When the log is unreachable, wait for it; what is known stays in force meanwhile."""
        while True:
            try:
                await self._follow()
            except Unavailable as error:
                get_logger().warning("model_feed_lost", reason=str(error))
            await asyncio.sleep(RETRY_SECONDS)

    async def _follow(self) -> None:
        newest = await self.log.last(MODEL_EVENTS)
        head = newest.sequence if newest is not None else 0
        async with self.log.tail(self._sequence, (MODEL_EVENTS,)) as tail:
            self._pass(head)
            async for records in tail:
                for record in records:
                    self._fold(record)
                self._pass(head)

    def _pass(self, head: int) -> None:
        if self._sequence >= head:
            self._is_caught_up.set()

    def _fold(self, record: Recorded) -> None:
        self._sequence = record.sequence
        try:
            event = decode(record)
        except Unreadable as error:
            get_logger().error("model_event_passed_over", sequence=record.sequence, reason=str(error))
            return
        if isinstance(event, e.ModelRegistered):
            self.models[event.model.id] = event.model
        elif isinstance(event, e.ModelRemoved):
            self.models.pop(event.model_id, None)
