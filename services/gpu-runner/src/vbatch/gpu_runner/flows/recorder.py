"""Records what became of every line of a slice, in chunks, and settles its order when all of that is stored."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

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
from vbatch.gpu_runner.flows.change_signal import ChangeSignal
from vbatch.gpu_runner.ports import Clock
from vbatch.journal.port import Delivery, Publisher, WaitingWrites

SOURCE = "gpu-runner"


@dataclass(slots=True)
class _Record:
    order: RunSlice | FailSlice
    delivery: Delivery
    open_count: int
    chunker: Chunker = field(default_factory=Chunker)


class Recorder:
    """One runner's pen under one epoch. `record` and `give_back` never wait; `publish` does the storing.

    `caught_up` fires when it is no longer behind.
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
    ) -> None:
        self._runner_id = runner_id
        self._epoch = epoch
        self._metrics = metrics
        self._outbox_max = limits.outbox_messages_max
        self._records: dict[SliceId, _Record] = {}
        self._outbox: deque[tuple[Message, Delivery | None]] = deque()
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
        """The line is done. A slice's last line closes its last chunk and settles its order."""
        record = self._records[slice_id]
        was_empty = record.chunker.is_empty
        record.open_count -= 1
        self._metrics.count(outcome)
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
        """The slice ends here: what is gathered is recorded, the rest returned. `inside` names the suspects."""
        self._return(remainder, reason, detail, suspects=remainder.suspects if inside else ())
        self._settle(remainder.order.slice_id)

    def give_back_part(self, remainder: Remainder, reason: ReturnReason) -> None:
        """These lines are returned, the slice goes on with the others. Once a slice: the reason names the event."""
        self._records[remainder.order.slice_id].open_count -= len(remainder.lines)
        self._return(remainder, reason, "", suspects=())

    def _return(self, remainder: Remainder, reason: ReturnReason, detail: str, *, suspects: tuple[int, ...]) -> None:
        order = remainder.order
        record = self._records[order.slice_id]
        self._send_chunks(record, record.chunker.close())
        self._metrics.returned_count += len(remainder.lines)
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

    def send(self, event: Event) -> None:
        self._outbox.append((codec.encode(event, source=SOURCE), None))
        self._filled.fire()

    async def publish(self, publisher: Publisher) -> None:
        """Store what comes, for ever. Raises what the publisher raises: Conflict says that this runner is fenced."""
        while True:
            await self.drain(publisher)
            await self._filled.wait()

    async def confirm(self, publisher: Publisher) -> None:
        """See, for ever, that what was handed over is stored; raises what `publish` would only learn the next time."""
        while True:
            await self._handed_over.wait()
            await publisher.flush()

    async def drain(self, publisher: Publisher) -> None:
        """Hand everything that waits to the publisher, in order."""
        while self._outbox:
            message, delivery = self._outbox[0]
            await publisher.publish(message, self._on_stored(delivery))
            reached(Failpoint.CHUNK_PUBLISHED)
            self._outbox.popleft()
            self._handed_over.fire()
            if not self.is_behind:
                self._caught_up.fire()

    async def next_settled(self) -> Delivery:
        """An order all of whose lines are stored; it is time to take it off the queue."""
        return await self._settled.get()

    def settled_now(self) -> list[Delivery]:
        return [self._settled.get_nowait() for _ in range(self._settled.qsize())]

    def _settle(self, slice_id: SliceId) -> None:
        """The last message of the slice stands at the end of the outbox: its order is done when that is stored."""
        message, _ = self._outbox.pop()
        self._outbox.append((message, self._records.pop(slice_id).delivery))

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
            self._metrics.chunk_bytes += len(self._outbox[-1][0].body)

    def _close_later(self, slice_id: SliceId, chunker: Chunker) -> None:
        number = chunker.number
        asyncio.get_running_loop().call_later(CHUNK_SECONDS_MAX, self._close_due, slice_id, number)

    def _close_due(self, slice_id: SliceId, number: int) -> None:
        record = self._records.get(slice_id)
        if record and record.chunker.number == number:
            self._send_chunks(record, record.chunker.close())

    def _on_stored(self, delivery: Delivery | None) -> Callable[[int], None] | None:
        if delivery is None:
            return None
        return lambda _sequence: self._settled.put_nowait(delivery)
