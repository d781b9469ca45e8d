"""The journal in one process, with the same guarantees: for unit tests and for simulation.

It keeps nothing on a disk, never waits for a wall clock or for room, and does not model an acknowledgement wait that
runs out: a worker's deliveries go back when its `take` is left.

It is one file, though a long one, so that the whole implementation can be read beside the contract suite.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice, takewhile

from vbatch.contracts.message import Message, Recorded
from vbatch.journal.port import (
    APPEND_ALL_MESSAGES_MAX,
    MESSAGE_SIZE_HEADER,
    Conflict,
    DeadLetter,
    Fill,
    Full,
    Guard,
    Lease,
    Origin,
    Rejected,
)
from vbatch.journal.rules import (
    check_filter,
    check_subject,
    dead_letter_of,
    from_dead_letter,
    matches,
    outgoing_headers,
    wire_bytes,
)
from vbatch.journal.settings import JournalSettings
from vbatch.journal.space_wait import SpaceWait

Now = Callable[[], datetime]
Sleep = Callable[[float], Awaitable[None]]
TAIL_RECORDS_MAX = 1000


class MemoryStream:
    """One stream: records in order, found by subject and by message id."""

    def __init__(self, settings: JournalSettings, now: Now, *, bytes_max: int, message_bytes_max: int) -> None:
        self.records: list[Recorded] = []
        self._settings = settings
        self._now = now
        self._bytes = 0
        self._bytes_max = bytes_max
        self._message_bytes_max = message_bytes_max
        self._last_by_subject: dict[str, int] = {}
        self._by_id: dict[str, Recorded] = {}
        self._purged: set[int] = set()
        self._grown = asyncio.Event()

    def append(self, message: Message, guard: Guard | None = None) -> int:
        return self.append_all([message], guard)

    def append_all(self, messages: Sequence[Message], guard: Guard | None = None) -> int:
        """Store all messages or none; they are checked as a whole before anything is stored."""
        entries = [self._entry(message) for message in messages]
        last = messages[-1]
        if guard is not None and self.last_on(guard.subject_filter) != guard.sequence:
            return self._own_write(last, guard.subject_filter if len(messages) == 1 else last.subject)
        duplicates = [self._duplicate(message) for message in messages]
        if len(messages) == 1 and duplicates[0] is not None:
            return duplicates[0].sequence
        if any(duplicates):
            return self._own_write(last, last.subject)
        size = sum(wire_bytes(headers, m.body) for m, headers in zip(messages, entries, strict=True))
        if self._bytes + size > self._bytes_max:
            raise Full(f"{last.subject}: maximum bytes exceeded")
        for message, headers in zip(messages, entries, strict=True):
            self._store(message, headers)
        self._bytes += size
        return len(self.records)

    def last(self, subject_filter: str) -> Recorded | None:
        check_filter(subject_filter)
        sequence = self.last_on(subject_filter)
        return self.records[sequence - 1] if sequence else None

    def fill(self) -> Fill:
        return Fill(self._bytes, self._bytes_max)

    def purge(self, subject: str, through: int) -> int:
        """Hide the records of the subject; `records` keeps them, so that a sequence stays a position."""
        check_subject(subject)
        kept = [r for r in self.records if r.subject == subject and r.sequence not in self._purged]
        gone = [record for record in kept if record.sequence <= through]
        self._purged.update(record.sequence for record in gone)
        self._bytes -= sum(wire_bytes(record.headers, record.body) for record in gone)
        if len(gone) == len(kept):
            self._last_by_subject.pop(subject, None)
        return len(gone)

    def last_on(self, subject_filter: str) -> int:
        sequences = (s for subject, s in self._last_by_subject.items() if matches(subject_filter, subject))
        return max(sequences, default=0)

    def after(self, sequence: int, filters: Sequence[str]) -> list[Recorded]:
        """The next records on the filters, from a bounded stretch of the log; empty only at its end."""
        for start in range(sequence, len(self.records), TAIL_RECORDS_MAX):
            stretch = [r for r in self.records[start : start + TAIL_RECORDS_MAX] if r.sequence not in self._purged]
            if found := [r for r in stretch if any(matches(f, r.subject) for f in filters)]:
                return found
        return []

    async def grown(self) -> None:
        await self._grown.wait()

    def _entry(self, message: Message) -> dict[str, str]:
        headers = outgoing_headers(message)
        if (size := wire_bytes(headers, message.body)) > self._message_bytes_max:
            raise Rejected(f"{message.subject}: {size} bytes with headers, limit {self._message_bytes_max}")
        return headers

    def _own_write(self, message: Message, subject_filter: str) -> int:
        stored = self.last(subject_filter)
        if stored is None or stored.message_id != message.message_id:
            raise Conflict(f"{message.subject}: wrong last sequence on {subject_filter}, or stored in part")
        return stored.sequence

    def _duplicate(self, message: Message) -> Recorded | None:
        stored = self._by_id.get(message.message_id)
        window = timedelta(seconds=self._settings.duplicate_window_seconds)
        return stored if stored is not None and self._now() - stored.recorded_at <= window else None

    def _store(self, message: Message, headers: dict[str, str]) -> None:
        record = Recorded(len(self.records) + 1, message.subject, headers, message.body, self._now())
        self.records.append(record)
        self._last_by_subject[record.subject] = record.sequence
        self._by_id[message.message_id] = record
        self._grown.set()
        self._grown = asyncio.Event()


class MemoryLog:
    def __init__(self, stream: MemoryStream, settings: JournalSettings) -> None:
        self._stream = stream
        self._settings = settings

    async def append(self, message: Message, guard: Guard | None = None) -> int:
        if guard is not None:
            check_filter(guard.subject_filter)
        return self._stream.append(message, guard)

    async def append_all(self, messages: Sequence[Message], guard: Guard | None = None) -> int:
        if not 1 <= len(messages) <= APPEND_ALL_MESSAGES_MAX:
            raise Rejected(f"{len(messages)} messages at once; 1 to {APPEND_ALL_MESSAGES_MAX} are possible")
        size = sum(wire_bytes(outgoing_headers(m), m.body) for m in messages)
        if size > self._settings.append_all_bytes_max:
            raise Rejected(f"{size} bytes at once, the limit is {self._settings.append_all_bytes_max}")
        return self._stream.append_all(messages, guard)

    async def last(self, subject_filter: str) -> Recorded | None:
        return self._stream.last(subject_filter)

    async def last_sequence(self) -> int:
        return len(self._stream.records)

    async def fill(self) -> Fill:
        return self._stream.fill()

    async def purge(self, subject: str, through: int) -> int:
        return self._stream.purge(subject, through)

    async def acquire(self, message: Message) -> Lease:
        guard = Guard(message.subject, self._stream.last_on(message.subject))
        return Lease(message.subject, self._stream.append(message, guard))

    @asynccontextmanager
    async def tail(
        self, after: int, subjects: Sequence[str] = ("evt.>",), *, headers_only: bool = False
    ) -> AsyncIterator[AsyncIterator[list[Recorded]]]:
        for subject in subjects:
            check_filter(subject)
        yield MemoryTail(self._stream, self._settings.tail_buffer_bytes, after, subjects, headers_only)


class MemoryTail(AsyncIterator[list[Recorded]]):
    def __init__(
        self, stream: MemoryStream, bytes_max: int, after: int, subjects: Sequence[str], headers_only: bool
    ) -> None:
        self._stream = stream
        self._bytes_max = bytes_max
        self._after = after
        self._subjects = subjects
        self._headers_only = headers_only

    async def __anext__(self) -> list[Recorded]:
        while not (records := self._stream.after(self._after, self._subjects)):
            await self._stream.grown()
        records = self._bounded(records)
        self._after = records[-1].sequence
        return [_without_body(r) for r in records] if self._headers_only else records

    def _bounded(self, records: list[Recorded]) -> list[Recorded]:
        room = self._bytes_max

        def fits(record: Recorded) -> bool:
            nonlocal room
            room -= wire_bytes(record.headers, record.body)
            return room >= 0

        return list(takewhile(fits, records)) or records[:1]


def _without_body(record: Recorded) -> Recorded:
    headers = {**record.headers, MESSAGE_SIZE_HEADER: str(len(record.body))}
    return replace(record, headers=headers, body=b"")


class MemoryPublisher:
    def __init__(self, stream: MemoryStream, lease: Lease | None) -> None:
        self._stream = stream
        self._guard = lease.guard() if lease else None
        self._last = 0
        self._failure: Conflict | Full | None = None

    async def publish(
        self,
        message: Message,
        on_stored: Callable[[int], None] | None = None,
        on_refused: Callable[[Rejected], None] | None = None,
    ) -> None:
        self._raise_failure()
        try:
            self._last = self._stream.append(message, self._guard)
        except Rejected as refusal:
            if on_refused is None:
                raise
            on_refused(refusal)
            return
        except (Conflict, Full) as failure:
            self._failure = failure  # raised by the next call, as a pipeline would
            return
        if on_stored is not None:
            on_stored(self._last)

    async def flush(self) -> int:
        self._raise_failure()
        return self._last

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise type(self._failure)(str(self._failure)) from self._failure


class MemoryDeadLetters:
    def __init__(self, stream: MemoryStream) -> None:
        self._stream = stream
        self._dropped: set[int] = set()

    async def append(self, record: Recorded, reason: str, origin: Origin = Origin.LOG) -> int:
        return self._stream.append(dead_letter_of(record, reason, origin))

    async def list(self, after: int = 0, limit: int = 100) -> list[DeadLetter]:
        kept = (record for record in self._stream.records[after:] if record.sequence not in self._dropped)
        return [from_dead_letter(record) for record in islice(kept, limit)]

    async def get(self, sequence: int) -> DeadLetter | None:
        found = await self.list(sequence - 1, 1) if sequence > 0 else []
        return next((letter for letter in found if letter.sequence == sequence), None)

    async def drop(self, sequence: int) -> None:
        if 0 < sequence <= len(self._stream.records):
            self._dropped.add(sequence)

    async def count(self) -> int:
        return len(self._stream.records) - len(self._dropped)


@dataclass
class _Consumer:
    """What all takers under one name share: their position, and returned messages with the time of their redelivery."""

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


class MemoryJournal:
    """One store shared by everyone who holds it; `now` and `sleep` are its only source of time."""

    def __init__(self, settings: JournalSettings, now: Now, sleep: Sleep = asyncio.sleep) -> None:
        log = self._stream(settings, now, settings.log_bytes_max, settings.message_bytes_max)
        work = self._stream(settings, now, settings.work_bytes_max, settings.message_bytes_max)
        dead = self._stream(settings, now, settings.dead_bytes_max, settings.dead_letter_bytes_max)
        self._log_stream = log
        self.log = MemoryLog(log, settings)
        self.dead = MemoryDeadLetters(dead)
        self.work = MemoryWorkQueue(work, self.dead, settings, now, sleep)
        self.dead_event = asyncio.Event()
        self.waiting_writes = SpaceWait()

    @property
    def is_connected(self) -> bool:
        return True

    @asynccontextmanager
    async def publisher(self, lease: Lease | None = None) -> AsyncIterator[MemoryPublisher]:
        publisher = MemoryPublisher(self._log_stream, lease)
        yield publisher
        await publisher.flush()

    async def topology(self) -> None:
        """Nothing to create: the streams exist."""

    @staticmethod
    def _stream(settings: JournalSettings, now: Now, bytes_max: int, message_bytes_max: int) -> MemoryStream:
        return MemoryStream(settings, now, bytes_max=bytes_max, message_bytes_max=message_bytes_max)
