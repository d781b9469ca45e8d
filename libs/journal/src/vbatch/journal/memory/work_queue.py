"""The work queue in memory: deliveries are settled once, or come again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from vbatch.contracts.message import Message, Recorded
from vbatch.journal.memory.dead_letters import MemoryDeadLetters
from vbatch.journal.memory.stream import MemoryStream, Now
from vbatch.journal.port import Origin
from vbatch.journal.rules import check_filter
from vbatch.journal.settings import JournalSettings

Sleep = Callable[[float], Awaitable[None]]


@dataclass
class _Consumer:
    """What all takers with one name share: their position, and returned messages with the time of their redelivery."""

    subject: str
    after: int = 0
    due: dict[int, datetime] = field(default_factory=dict)
    delivery_counts: dict[int, int] = field(default_factory=dict)
    takers: int = 0


class MemoryDelivery:
    def __init__(self, taker: MemoryTaker, message: Recorded, delivery_count: int) -> None:
        self._taker = taker
        self.message = message
        self.delivery_count = delivery_count
        self.is_settled = False

    async def ack(self) -> None:
        self._settle()

    async def nak(self, delay_seconds: float = 0.0) -> None:
        self._settle()
        self._taker.give_back(self, delay_seconds)

    async def dead_letter(self, reason: str) -> None:
        self._check_open()
        await self._taker.dead.append(self.message, reason, Origin.WORK)
        self._settle()

    def _settle(self) -> None:
        self._check_open()
        self.is_settled = True
        self._taker.forget(self)

    def _check_open(self) -> None:
        if self.is_settled:
            raise RuntimeError(f"{self.message.subject} {self.message.sequence} was settled before")


class MemoryTaker(AsyncIterator[MemoryDelivery]):
    def __init__(self, queue: MemoryWorkQueue, consumer: _Consumer) -> None:
        self.dead = queue.dead
        self._queue = queue
        self._consumer = consumer
        self._held: dict[int, MemoryDelivery] = {}

    async def __anext__(self) -> MemoryDelivery:
        while True:
            delivery = self._next()
            if delivery is None:
                await self._queue.changed(self._soonest_seconds())
            elif delivery.delivery_count <= self._queue.settings.work_deliveries_max:
                return delivery
            else:
                await delivery.dead_letter(f"delivered {delivery.delivery_count} times and never settled")

    def give_back(self, delivery: MemoryDelivery, delay_seconds: float = 0.0) -> None:
        due = self._queue.now() + timedelta(seconds=delay_seconds)
        self._consumer.due[delivery.message.sequence] = due
        self._queue.note_change()

    def forget(self, delivery: MemoryDelivery) -> None:
        self._held.pop(delivery.message.sequence, None)
        self._queue.note_change()

    def close(self) -> None:
        for delivery in list(self._held.values()):
            self.give_back(delivery)
        self._held.clear()

    def _next(self) -> MemoryDelivery | None:
        if len(self._held) >= self._queue.settings.work_in_flight_max:
            return None
        record = self._returned() or self._fresh()
        if record is None:
            return None
        counts = self._consumer.delivery_counts
        counts[record.sequence] = counts.get(record.sequence, 0) + 1
        delivery = self._held[record.sequence] = MemoryDelivery(self, record, counts[record.sequence])
        return delivery

    def _returned(self) -> Recorded | None:
        now = self._queue.now()
        ready = [sequence for sequence, due in self._consumer.due.items() if due <= now]
        if not ready:
            return None
        del self._consumer.due[min(ready)]
        return self._queue.stream.records[min(ready) - 1]

    def _fresh(self) -> Recorded | None:
        found = self._queue.stream.after(self._consumer.after, [self._consumer.subject])
        if not found:
            return None
        self._consumer.after = found[0].sequence
        return found[0]

    def _soonest_seconds(self) -> float | None:
        if not self._consumer.due or len(self._held) >= self._queue.settings.work_in_flight_max:
            return None
        return max(0.0, (min(self._consumer.due.values()) - self._queue.now()).total_seconds())


class MemoryWorkQueue:
    def __init__(
        self, stream: MemoryStream, dead: MemoryDeadLetters, settings: JournalSettings, now: Now, sleep: Sleep
    ) -> None:
        self.stream = stream
        self.dead = dead
        self.settings = settings
        self.now = now
        self._sleep = sleep
        self._consumers: dict[str, _Consumer] = {}
        self._changed = asyncio.Event()

    async def put(self, message: Message) -> int:
        sequence = self.stream.append(message)
        self.note_change()
        return sequence

    @asynccontextmanager
    async def take(self, subject: str, consumer: str) -> AsyncIterator[AsyncIterator[MemoryDelivery]]:
        check_filter(subject)
        taker = MemoryTaker(self, self._consumers.setdefault(consumer, _Consumer(subject)))
        self._consumers[consumer].takers += 1
        try:
            yield taker
        finally:
            self._consumers[consumer].takers -= 1
            taker.close()

    async def is_awaited(self, consumer: str) -> bool:
        return consumer in self._consumers and self._consumers[consumer].takers > 0

    def note_change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self, within_seconds: float | None) -> None:
        """Return after any put or settlement, or after the given time."""
        waits: list[asyncio.Future[object]] = [asyncio.ensure_future(self._changed.wait())]
        if within_seconds is not None:
            waits.append(asyncio.ensure_future(self._sleep(within_seconds)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
