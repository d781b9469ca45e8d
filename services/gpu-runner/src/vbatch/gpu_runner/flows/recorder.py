"""Records the outcome of every line of a slice, in chunks, and settles the slice's order once all are stored."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field
from functools import partial

import structlog

from vbatch.chassis.failpoints import Failpoint, reached
from vbatch.contracts import codec
from vbatch.contracts.events import ChunkCompleted, Event, Outcome, SliceReturned
from vbatch.contracts.failures import ReturnReason
from vbatch.contracts.ids import ModelId, RunnerId, SliceId
from vbatch.contracts.message import Message
from vbatch.contracts.orders import FailSlice, RunSlice
from vbatch.gpu_runner.core.chunks import CHUNK_SECONDS_MAX, Chunk, Chunker
from vbatch.gpu_runner.core.feed import Remainder
from vbatch.gpu_runner.core.limits import Limits
from vbatch.gpu_runner.core.metrics import RunnerMetrics
from vbatch.gpu_runner.core.refused import stand_ins
from vbatch.gpu_runner.flows.change_signal import ChangeSignal
from vbatch.gpu_runner.ports import Clock
from vbatch.journal.port import Delivery, Publisher, Rejected, WaitingWrites
from vbatch.journal.quarantine import Quarantine

SOURCE = "gpu-runner"

log = structlog.stdlib.get_logger("vbatch.gpu_runner")


@dataclass(slots=True)
class _Record:
    order: RunSlice | FailSlice
    delivery: Delivery
    open_count: int
    chunker: Chunker = field(default_factory=Chunker)


@dataclass(slots=True)
class _Outgoing:
    """`delivery` is settled when the message is stored, and all of its slice before it. `sent_at` is the loop's time;
    `replaces` counts the refused events whose last replacement this is."""

    event: Event
    message: Message
    sent_at: float
    delivery: Delivery | None = None
    replaces: int = 0

    @property
    def slice_id(self) -> SliceId:
        """The event's slice; empty for an event without one."""
        return self.event.slice_id if isinstance(self.event, ChunkCompleted | SliceReturned) else SliceId("")


def _outgoing(event: Event) -> _Outgoing:
    return _Outgoing(event, codec.encode(event, source=SOURCE), _clock())


class Recorder:
    """Records for one runner under one epoch. `record` and `give_back` never wait; `publish` stores.

    `caught_up` fires when the recorder is no longer behind.
    """

    def __init__(
        self,
        *,
        runner_id: RunnerId,
        epoch: int,
        metrics: RunnerMetrics,
        limits: Limits,
        caught_up: ChangeSignal,
        waiting_writes: WaitingWrites,
        now: Clock,
        quarantine: Quarantine,
    ) -> None:
        self._runner_id = runner_id
        self._epoch = epoch
        self._metrics = metrics
        self._outbox_max = limits.outbox_messages_max
        self._records: dict[SliceId, _Record] = {}
        self._outbox: deque[_Outgoing] = deque()
        self._refused: deque[tuple[_Outgoing, Rejected]] = deque()
        self._missing: Counter[SliceId] = Counter()
        """For each slice, the refused events whose replacements are not stored yet."""
        self._done: dict[SliceId, Delivery] = {}
        """Orders whose last event is stored."""
        self._quarantine = quarantine
        self._settled: asyncio.Queue[Delivery] = asyncio.Queue()
        self._filled = ChangeSignal()
        self._handed_over = ChangeSignal()
        self._caught_up = caught_up
        self._waiting_writes = waiting_writes
        self._now = now

    @property
    def is_behind(self) -> bool:
        return len(self._outbox) > self._outbox_max or self._waiting_writes.refusal is not None

    def open(self, order: RunSlice | FailSlice, delivery: Delivery) -> None:
        self._records[order.slice_id] = _Record(order, delivery, len(order.requests))

    def record(self, slice_id: SliceId, outcome: Outcome) -> None:
        """Record the outcome of a line. The slice's last line closes its last chunk and settles its order."""
        record = self._records[slice_id]
        was_empty = record.chunker.is_empty
        record.open_count -= 1
        self._metrics.count(outcome, record.order.model)
        chunks = record.chunker.add(outcome)
        if record.open_count == 0:
            chunks += record.chunker.close()
            self._send_chunks(record, chunks)
            self._settle(slice_id)
            return
        self._send_chunks(record, chunks)
        if (was_empty or chunks) and not record.chunker.is_empty:
            self._close_later(slice_id, record.chunker)

    def give_back(self, remainder: Remainder, reason: ReturnReason, detail: str = "", *, inside: bool = False) -> None:
        """End the slice: record what was collected and return the rest. `inside` names the suspects."""
        self._return(remainder, reason, detail, suspects=remainder.suspects if inside else ())
        self._settle(remainder.order.slice_id)

    def give_back_part(self, remainder: Remainder, reason: ReturnReason) -> None:
        """Return these lines; the slice continues with the others. Call it only once for a slice: the reason names the
        event."""
        self._records[remainder.order.slice_id].open_count -= len(remainder.lines)
        self._return(remainder, reason, "", suspects=())

    def _return(self, remainder: Remainder, reason: ReturnReason, detail: str, *, suspects: tuple[int, ...]) -> None:
        order = remainder.order
        record = self._records[order.slice_id]
        self._send_chunks(record, record.chunker.close())
        self._metrics.count_returned(len(remainder.lines), order.model)
        returned = SliceReturned(
            at=self._now(),
            batch_id=order.batch_id,
            slice_id=order.slice_id,
            runner_id=self._runner_id,
            epoch=self._epoch,
            lines=remainder.lines,
            reason=reason,
            detail=detail,
            suspects=suspects,
        )
        self.send(returned)
        log.info(
            "slice_returned",
            slice_id=order.slice_id,
            batch_id=order.batch_id,
            lines=len(remainder.lines),
            suspects=len(suspects),
            reason=reason,
        )

    def send(self, event: Event) -> None:
        self._outbox.append(_outgoing(event))
        self._filled.fire()

    async def publish(self, publisher: Publisher) -> None:
        """Store events forever. Raises what the publisher raises: Conflict means that this runner is fenced."""
        while True:
            await self.drain(publisher)
            await self._filled.wait()

    async def confirm(self, publisher: Publisher) -> None:
        """Confirm forever that sent events are stored; raises early what `publish` would raise at its next call."""
        while True:
            await self._handed_over.wait()
            await publisher.flush()

    async def drain(self, publisher: Publisher) -> None:
        """Send everything that waits to the publisher, in order."""
        while self._outbox or self._refused:
            if self._refused:
                await self._set_aside(*self._refused.popleft())
            else:
                await self._publish_first(publisher)

    async def _publish_first(self, publisher: Publisher) -> None:
        first = self._outbox[0]
        await publisher.publish(first.message, partial(self._on_stored, first), partial(self._on_refused, first))
        reached(Failpoint.CHUNK_PUBLISHED)
        self._outbox.popleft()
        self._handed_over.fire()
        if not self.is_behind:
            self._caught_up.fire()

    def _on_refused(self, outgoing: _Outgoing, refusal: Rejected) -> None:
        self._refused.append((outgoing, refusal))
        self._missing[outgoing.slice_id] += 1
        self._filled.fire()

    async def _set_aside(self, outgoing: _Outgoing, refusal: Rejected) -> None:
        """Record the lines of a refused chunk one by one, and those that are refused alone as failed. Other events lose
        only their text."""
        instead = [_outgoing(event) for event in stand_ins(outgoing.event, refusal)]
        if len(instead) <= 1:
            await self._quarantine.refuse(outgoing.message, refusal)
        last = instead[-1] if instead else outgoing
        last.delivery, last.replaces = outgoing.delivery, outgoing.replaces + 1
        self._outbox.extendleft(reversed(instead))
        if not instead:
            self._on_stored(outgoing)

    async def next_settled(self) -> Delivery:
        """Wait for an order whose lines are all stored and which can be taken off the queue."""
        return await self._settled.get()

    def settled_now(self) -> list[Delivery]:
        return [self._settled.get_nowait() for _ in range(self._settled.qsize())]

    def _settle(self, slice_id: SliceId) -> None:
        """Settle the order when the end of the outbox, the slice's last message, is stored."""
        self._outbox[-1].delivery = self._records.pop(slice_id).delivery

    def _send_chunks(self, record: _Record, chunks: list[Chunk]) -> None:
        order = record.order
        for chunk in chunks:
            completed = ChunkCompleted(
                at=self._now(),
                batch_id=order.batch_id,
                slice_id=order.slice_id,
                runner_id=self._runner_id,
                epoch=self._epoch,
                chunk=chunk.number,
                model=ModelId(order.model),
                outcomes=chunk.outcomes,
            )
            self.send(completed)
            self._metrics.chunk_count += 1
            self._metrics.chunk_bytes += len(self._outbox[-1].message.body)

    def _close_later(self, slice_id: SliceId, chunker: Chunker) -> None:
        number = chunker.number
        asyncio.get_running_loop().call_later(CHUNK_SECONDS_MAX, self._close_due, slice_id, number)

    def _close_due(self, slice_id: SliceId, number: int) -> None:
        record = self._records.get(slice_id)
        if record and record.chunker.number == number:
            self._send_chunks(record, record.chunker.close())

    def _on_stored(self, outgoing: _Outgoing, _sequence: int = 0) -> None:
        self._metrics.publish_seconds.observe(_clock() - outgoing.sent_at)
        slice_id = outgoing.slice_id
        if outgoing.replaces:
            self._missing[slice_id] -= outgoing.replaces
        if outgoing.delivery is not None:
            self._done[slice_id] = outgoing.delivery
        if slice_id in self._done and not self._missing[slice_id]:
            del self._missing[slice_id]
            self._settled.put_nowait(self._done.pop(slice_id))


def _clock() -> float:
    return asyncio.get_running_loop().time()
