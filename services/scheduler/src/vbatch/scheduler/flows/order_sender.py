"""Sends runners the orders that follow from the log. Orders are made from the folded state, so a new scheduler makes
the same ones again and the queue drops the repeats."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

from vbatch.chassis.failpoints import Failpoint, reached
from vbatch.contracts.ids import BatchId, SliceId
from vbatch.contracts.message import Message
from vbatch.contracts.orders import CancelBatch, LoadModel, PauseBatch, WorkOrder, encode_order
from vbatch.contracts.subjects import work
from vbatch.journal.port import Rejected, WorkQueue
from vbatch.scheduler.core.decide import work_order_for
from vbatch.scheduler.core.state.pending_batch import stop_asked_at
from vbatch.scheduler.core.state.slices import Slice
from vbatch.scheduler.core.state.state import State
from vbatch.scheduler.ports import Clock


@dataclass
class OrderSender:
    """Remembers what this process has put on the queue."""

    state: State
    queue: WorkQueue
    clock: Clock
    refused: Callable[[BatchId, Message, Rejected], Awaitable[None]]
    """Called with an order that the queue will never take."""
    _ordered: set[SliceId] = field(default_factory=set)
    _cancelled: set[tuple[BatchId, int]] = field(default_factory=set)
    _loads: set[int] = field(default_factory=set)
    """The sequences of the demands for which a load was ordered."""
    _paused: set[tuple[int, BatchId, int]] = field(default_factory=set)
    """The epoch of the runner, the batch, and the sequence of the pause."""

    async def send(self) -> None:
        """Put every order on the queue that is due and not yet there."""
        await self._send_loads()
        await self._send_work()
        await self._send_cancels()
        await self._send_pauses()
        self._ordered &= self.state.slices.keys()

    async def _send_work(self) -> None:
        for slice_ in self._unordered():
            if order := work_order_for(self.state, slice_):
                await self._put(slice_, order)
                self._ordered.add(slice_.event.slice_id)

    async def _send_cancels(self) -> None:
        for slice_ in list(self._to_cancel()):
            await self._put(slice_, CancelBatch(epoch=slice_.event.epoch, batch_id=slice_.event.batch_id))
            self._cancelled.add((slice_.event.batch_id, slice_.event.epoch))

    async def _send_pauses(self) -> None:
        for slice_, pause in list(self._to_pause()):
            await self._put(slice_, PauseBatch(epoch=slice_.event.epoch, batch_id=slice_.event.batch_id, pause=pause))
            self._paused.add((slice_.event.epoch, slice_.event.batch_id, pause))

    async def _send_loads(self) -> None:
        for runner in self.state.available_runners():
            demand = runner.demand
            if demand is None or demand.is_settled or demand.sequence in self._loads:
                continue
            order = LoadModel(
                epoch=runner.epoch, model=demand.model, demand=demand.sequence, stay_seconds=demand.stay_seconds
            )
            self._loads.add(demand.sequence)
            await self.queue.put(encode_order(order, subject=work(runner.runner_id, runner.epoch)))

    async def _put(self, slice_: Slice, order: WorkOrder) -> None:
        reached(Failpoint.ORDER_DUE)
        message = encode_order(order, subject=work(slice_.event.runner_id, slice_.event.epoch))
        try:
            await self.queue.put(message)
        except Rejected as refusal:
            await self.refused(slice_.event.batch_id, message, refusal)
        reached(Failpoint.ORDER_PUT)

    def _unordered(self) -> list[Slice]:
        return [slice_ for slice_id, slice_ in self.state.slices.items() if slice_id not in self._ordered]

    def _to_cancel(self) -> Iterator[Slice]:
        now = self.clock()
        for batch in self.state.batches.values():
            if stop_asked_at(batch, now) is None:
                continue
            for slice_ in self.state.slices_of_batch(batch.batch_id):
                if (batch.batch_id, slice_.event.epoch) not in self._cancelled:
                    yield slice_

    def _to_pause(self) -> Iterator[tuple[Slice, int]]:
        for batch in self.state.batches.values():
            pause = self.state.pause_of(batch)
            if not pause:
                continue
            for slice_ in self.state.slices_of_batch(batch.batch_id):
                if (slice_.event.epoch, batch.batch_id, pause) not in self._paused:
                    yield slice_, pause
