"""The in-memory journal behind a bad network: requests and answers get lost, orders come twice, tails break.

One `SimulatedJournal` is one process's connection; the store behind it is shared and never loses what it has stored.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

from tests.simulation.loop import Lane
from tests.simulation.weather import Weather
from vbatch.contracts.message import Message, Recorded
from vbatch.journal.memory import MemoryJournal
from vbatch.journal.port import (
    Conflict,
    DeadLetters,
    Delivery,
    Fill,
    Full,
    Guard,
    Lease,
    Publisher,
    Rejected,
    Unavailable,
)
from vbatch.journal.space_wait import SpaceWait

TRIES_MAX = 4
"""The real journal tries until its deadline; then the caller learns that the outcome is unknown."""
IN_FLIGHT_MAX = 8
UNSTORABLE = b"no log takes this"
"""A message with these words is refused permanently, like one that is too large."""
LOST_ORDER_SECONDS = 1.0


class AckWatch(Protocol):
    def __call__(self, lane: Lane, order: Recorded, *, is_first: bool) -> None:
        """Called before an order is settled as done."""


class PurgeWatch(Protocol):
    def __call__(self, subject: str, through: int) -> None:
        """Called before messages leave the log."""


def _unwatched(subject: str, through: int) -> None:
    return


class _Calls:
    """One call over the network, repeated as the real adapter does: the same message with the same id."""

    def __init__(self, lane: Lane, weather: Weather) -> None:
        self.lane = lane
        self.weather = weather

    async def stored(self, message: Message, store: Callable[[], int]) -> int:
        if UNSTORABLE in message.body:
            await self.weather.wait()
            raise Rejected("the simulated log does not take it")
        for _ in range(TRIES_MAX):
            await self.weather.wait()
            self.lane.check_alive()
            if self.weather.strikes(self.weather.lost_request):
                continue
            if self.weather.strikes(self.weather.full_log):
                raise Full("no room in the simulated stream")
            sequence = store()
            await self.weather.wait()
            if not self.weather.strikes(self.weather.lost_answer):
                return sequence
        raise Unavailable("no answer within the deadline")


class SimulatedLog:
    def __init__(self, shared: MemoryJournal, calls: _Calls, on_purge: PurgeWatch = _unwatched) -> None:
        self._inner = shared.log
        self._on_purge = on_purge
        self._stream = shared._log_stream  # the simulation stands behind the store
        self._calls = calls

    async def append(self, message: Message, guard: Guard | None = None) -> int:
        return await self._calls.stored(message, lambda: self._stream.append(message, guard))

    async def append_all(self, messages: Sequence[Message], guard: Guard | None = None) -> int:
        return await self._calls.stored(messages[0], lambda: self._stream.append_all(messages, guard))

    async def last(self, subject_filter: str) -> Recorded | None:
        await self._calls.weather.wait()
        return await self._inner.last(subject_filter)

    async def last_sequence(self) -> int:
        await self._calls.weather.wait()
        return await self._inner.last_sequence()

    async def fill(self) -> Fill:
        await self._calls.weather.wait()
        return await self._inner.fill()

    async def purge(self, subject: str, through: int) -> int:
        """In two steps, like the real one, which takes as many as it needs."""
        weather, count = self._calls.weather, 0
        for end in (weather.random.randint(0, through), through):
            await weather.wait()
            self._calls.lane.check_alive()
            if weather.strikes(weather.lost_request):
                raise Unavailable("the purge was not answered")
            self._on_purge(subject, end)
            count += await self._inner.purge(subject, end)
        return count

    async def acquire(self, message: Message) -> Lease:
        """Take the lease after the one current at that moment; a newer one in between is not overtaken."""

        def take() -> int:
            newest = self._stream.last(message.subject)
            if newest is not None and newest.message_id == message.message_id:
                return newest.sequence
            return self._stream.append(message, Guard(message.subject, newest.sequence if newest else 0))

        return Lease(message.subject, await self._calls.stored(message, take))

    @asynccontextmanager
    async def tail(
        self, after: int, subjects: Sequence[str] = ("evt.>",), *, headers_only: bool = False
    ) -> AsyncIterator[AsyncIterator[list[Recorded]]]:
        async with self._inner.tail(after, subjects, headers_only=headers_only) as records:
            yield _Tail(records, self._calls.weather)


class _Tail(AsyncIterator[list[Recorded]]):
    """Delivers in order and without gaps, but late and in pieces; it may break."""

    def __init__(self, inner: AsyncIterator[list[Recorded]], weather: Weather) -> None:
        self._inner = inner
        self._weather = weather
        self._rest: list[Recorded] = []

    async def __anext__(self) -> list[Recorded]:
        records = self._rest or await anext(self._inner)
        await self._weather.wait()
        if self._weather.strikes(self._weather.broken_tail):
            raise Unavailable("the reader was refused")
        cut = self._weather.random.randint(1, len(records))
        self._rest = records[cut:]
        return records[:cut]


@dataclass(frozen=True)
class _Waiting:
    message: Message
    on_stored: Callable[[int], None] | None
    on_refused: Callable[[Rejected], None] | None


class SimulatedPublisher:
    """Appends in order, each event once, a few in flight; an error of one is raised by the later calls."""

    def __init__(self, log: SimulatedLog, lease: Lease | None) -> None:
        self._log = log
        self._guard = lease.guard() if lease else None
        self._waiting: deque[_Waiting] = deque()
        self._failure: Exception | None = None
        self._last = 0
        self._changed = asyncio.Event()

    async def publish(
        self,
        message: Message,
        on_stored: Callable[[int], None] | None = None,
        on_refused: Callable[[Rejected], None] | None = None,
    ) -> None:
        await self._until(lambda: len(self._waiting) < IN_FLIGHT_MAX)
        self._waiting.append(_Waiting(message, on_stored, on_refused))
        self._tell()

    async def flush(self) -> int:
        await self._until(lambda: not self._waiting)
        return self._last

    async def store_all(self) -> None:
        """Run forever, or until the first failure."""
        while True:
            while not self._waiting:
                await self._changed.wait()
            waiting = self._waiting[0]
            try:
                self._last = await self._log.append(waiting.message, self._guard)
            except Rejected as refusal:
                if waiting.on_refused is None:
                    return self._fail(refusal)
                waiting.on_refused(refusal)
            except (Conflict, Full, Unavailable) as failure:
                return self._fail(failure)
            else:
                if waiting.on_stored is not None:
                    waiting.on_stored(self._last)
            self._waiting.popleft()
            self._tell()

    def _fail(self, failure: Exception) -> None:
        self._failure = failure
        self._tell()

    async def _until(self, is_so: Callable[[], bool]) -> None:
        while self._failure is None and not is_so():
            await self._changed.wait()
        if self._failure is not None:
            raise type(self._failure)(str(self._failure)) from self._failure

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class SimulatedWork:
    def __init__(self, shared: MemoryJournal, calls: _Calls, on_ack: AckWatch) -> None:
        self._inner = shared.work
        self._calls = calls
        self._on_ack = on_ack

    async def put(self, message: Message) -> int:
        def store() -> int:
            sequence = self._inner.stream.append(message)
            self._inner.note_change()
            return sequence

        return await self._calls.stored(message, store)

    @asynccontextmanager
    async def take(self, subject: str, consumer: str) -> AsyncIterator[AsyncIterator[Delivery]]:
        async with self._inner.take(subject, consumer) as deliveries:
            yield _Taker(deliveries, self._calls, self._on_ack)

    async def is_awaited(self, consumer: str) -> bool:
        await self._calls.weather.wait()
        return await self._inner.is_awaited(consumer)


class _Taker(AsyncIterator[Delivery]):
    def __init__(self, inner: AsyncIterator[Delivery], calls: _Calls, on_ack: AckWatch) -> None:
        self._inner = inner
        self._calls = calls
        self._on_ack = on_ack
        self._again: Recorded | None = None
        self._seen: set[int] = set()

    async def __anext__(self) -> Delivery:
        weather = self._calls.weather
        if self._again is not None and weather.strikes(weather.repeated_order):
            again, self._again = self._again, None
            await weather.wait()
            return SimulatedDelivery(again, 2, None, calls=self._calls, on_ack=self._on_ack)
        delivery = await anext(self._inner)
        await weather.wait()
        message, self._again = delivery.message, delivery.message
        count = 1 if message.sequence not in self._seen else max(2, delivery.delivery_count)
        self._seen.add(message.sequence)
        return SimulatedDelivery(message, count, delivery, calls=self._calls, on_ack=self._on_ack)


class SimulatedDelivery:
    """`inner` is None for a repeat of an order that is still held: settling it tells the queue nothing more."""

    def __init__(
        self, message: Recorded, delivery_count: int, inner: Delivery | None, *, calls: _Calls, on_ack: AckWatch
    ) -> None:
        self.message = message
        self.delivery_count = delivery_count
        self._inner = inner
        self._calls = calls
        self._on_ack = on_ack

    async def ack(self) -> None:
        weather = self._calls.weather
        await weather.wait()
        self._calls.lane.check_alive()
        self._on_ack(self._calls.lane, self.message, is_first=self.delivery_count == 1)
        if self._inner is None:
            return
        if weather.strikes(weather.lost_ack):
            await self._inner.nak(LOST_ORDER_SECONDS)
            raise Unavailable("the acknowledgement was not confirmed")
        await self._inner.ack()

    async def nak(self, delay_seconds: float = 0.0) -> None:
        if self._inner is not None:
            await self._inner.nak(delay_seconds)

    async def dead_letter(self, reason: str) -> None:
        if self._inner is not None:
            await self._inner.dead_letter(reason)


class SimulatedJournal:
    """One process's connection to the shared store."""

    def __init__(
        self,
        shared: MemoryJournal,
        lane: Lane,
        weather: Weather,
        on_ack: AckWatch,
        on_purge: PurgeWatch = _unwatched,
    ) -> None:
        calls = _Calls(lane, weather)
        self.log = SimulatedLog(shared, calls, on_purge)
        self.work = SimulatedWork(shared, calls, on_ack)
        self.dead: DeadLetters = shared.dead
        self.dead_event = asyncio.Event()
        self.waiting_writes = SpaceWait()

    @property
    def is_connected(self) -> bool:
        return True

    @asynccontextmanager
    async def publisher(self, lease: Lease | None = None) -> AsyncIterator[Publisher]:
        publisher = SimulatedPublisher(self.log, lease)
        storing = asyncio.create_task(publisher.store_all())
        try:
            yield publisher
            await publisher.flush()
        finally:
            storing.cancel()
            with suppress(asyncio.CancelledError):
                await storing

    async def topology(self) -> None:
        """Nothing to create: the streams exist."""
