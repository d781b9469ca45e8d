"""Folds the log into the state of a service, event by event. No event in the log can stop it: an event that cannot be
read, or that has ended the process repeatedly, is set aside."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from vbatch.contracts.codec import Unreadable, decode
from vbatch.contracts.events import AnyEvent
from vbatch.contracts.message import Recorded
from vbatch.journal.quarantine import place_of
from vbatch.journal.single_writer.writer import SingleWriter

ALL = ("evt.>",)


def _nothing(*_: object) -> None:
    """The default of a callback that a service does not need."""


@dataclass(frozen=True, kw_only=True)
class Folding:
    """`evolve` gets each event and its sequence, except the records that `passes_over` names. `on_folded` is called
    after each list, `on_poison` with a record that is set aside and the reason, `on_unreadable` with one that cannot be
    read: if None, it becomes a dead letter."""

    writer: SingleWriter
    evolve: Callable[[AnyEvent, int], None]
    decode: Callable[[Recorded], AnyEvent] = decode
    passes_over: Callable[[Recorded], bool] = lambda _record: False
    on_folded: Callable[[], None] = _nothing
    on_poison: Callable[[Recorded, str], None] = _nothing
    on_unreadable: Callable[[Recorded, Unreadable], Awaitable[None]] | None = None

    async def follow(self, after: int = 0, subjects: Sequence[str] = ALL) -> None:
        """Fold everything after sequence `after`, without end. The subjects include the process's own lease: the past
        ends there."""
        async with self.writer.journal.log.tail(after, subjects) as arrivals:
            async for records in arrivals:
                for record in records:
                    if not self.passes_over(record):
                        await self.fold(record)
                self.writer.position.advance(records[-1].sequence)
                self.on_folded()
                await asyncio.sleep(0)  # a long history must not block the health checks

    async def fold(self, record: Recorded) -> None:
        """Fold one record. The caller advances the position."""
        place, quarantine = place_of(record), self.writer.quarantine
        if quarantine.is_poison(place):
            self.on_poison(record, quarantine.reason(place))
            return await quarantine.bury(record, place)
        with quarantine.watch(place):
            try:
                event = self.decode(record)
            except Unreadable as error:
                return await self._pass_over(record, error)
            self.evolve(event, record.sequence)

    async def _pass_over(self, record: Recorded, error: Unreadable) -> None:
        if self.on_unreadable is None:
            await self.writer.journal.dead.append(record, str(error))
        else:
            await self.on_unreadable(record, error)
