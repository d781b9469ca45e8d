"""Takes orders off the queue: opens slices, cancels batches at once, and settles orders that need no work."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field

import structlog

from vbatch.chassis.failpoints import Failpoint, reached
from vbatch.contracts.failures import ReturnReason
from vbatch.contracts.ids import SliceId
from vbatch.contracts.orders import (
    CancelBatch,
    FailSlice,
    LoadModel,
    PauseBatch,
    RunSlice,
    UnreadableOrder,
    WorkOrder,
    decode_order,
)
from vbatch.gpu_runner.core.draining import Drain
from vbatch.gpu_runner.core.feed import Feed, Remainder
from vbatch.gpu_runner.flows.change_signal import ChangeSignal
from vbatch.gpu_runner.flows.recorder import Recorder
from vbatch.journal.port import Delivery

log = structlog.stdlib.get_logger("vbatch.gpu_runner")


@dataclass(frozen=True)
class Intake:
    """`abort` takes requests of a closed slice back from the engine; `fail` gets slices that are not to run."""

    epoch: int
    feed: Feed
    recorder: Recorder
    changed: ChangeSignal
    abort: Callable[[Remainder], None]
    fail: Callable[[FailSlice], object]
    now: Callable[[], float]
    drain: Drain = field(default_factory=Drain)
    _taken: set[SliceId] = field(default_factory=set)

    async def take_all(self, deliveries: AsyncIterator[Delivery]) -> None:
        async for delivery in deliveries:
            await self.take(delivery)

    async def take(self, delivery: Delivery) -> None:
        try:
            order = decode_order(delivery.message.body)
        except UnreadableOrder as error:
            log.error("order_unreadable", sequence=delivery.message.sequence, reason=str(error))
            await delivery.dead_letter(f"unreadable order: {error}")
            return
        if self._is_stale(order):
            log.info("order_dropped", order=type(order).__name__, epoch=order.epoch)
            await delivery.ack()
            return
        reached(Failpoint.ORDER_TAKEN)
        await self._obey(order, delivery)

    def _is_stale(self, order: WorkOrder) -> bool:
        """Whether the order is for another process of this runner, or came a second time."""
        if order.epoch != self.epoch:
            return True
        return isinstance(order, RunSlice | FailSlice) and order.slice_id in self._taken

    async def _obey(self, order: WorkOrder, delivery: Delivery) -> None:
        match order:
            case CancelBatch():
                self._cancel(order)
                await delivery.ack()
            case PauseBatch():
                self._pause(order)
                await delivery.ack()
            case LoadModel() if self.drain.is_active:
                await delivery.ack()
            case LoadModel():
                self.feed.open_load(order, self.now())
                log.info("load_taken", model=order.model, demand=order.demand)
                await delivery.ack()
            case RunSlice() | FailSlice() if not order.requests:
                log.warning("order_empty", slice_id=order.slice_id, batch_id=order.batch_id)
                await delivery.ack()
            case RunSlice():
                self._taken.add(order.slice_id)
                self.recorder.open(order, delivery)
                self.feed.open(order, self.now())
                log.info("slice_taken", slice_id=order.slice_id, batch_id=order.batch_id, lines=len(order.requests))
                self.follow_drain()
            case FailSlice():
                self._taken.add(order.slice_id)
                self.recorder.open(order, delivery)
                self.fail(order)
        self.changed.fire()

    def _cancel(self, order: CancelBatch) -> None:
        for remainder in self.feed.close_batch(order.batch_id):
            self.abort(remainder)
            self.recorder.give_back(remainder, ReturnReason.CANCELLED)
            slice_id = remainder.order.slice_id
            log.info("slice_recalled", slice_id=slice_id, batch_id=order.batch_id, lines=len(remainder.lines))

    def _pause(self, order: PauseBatch) -> None:
        self._give_back(self.feed.pause_batch(order.batch_id))

    def follow_drain(self) -> None:
        """Give back all requests that are not inside the engine, if the runner is drained."""
        if self.drain.is_active:
            self._give_back(self.feed.pause_all())
            self.changed.fire()

    def _give_back(self, remainders: Iterable[Remainder]) -> None:
        for remainder in remainders:
            slice_id = remainder.order.slice_id
            if self.feed.has(slice_id):
                self.recorder.give_back_part(remainder, ReturnReason.PREEMPTED)
            else:
                self.recorder.give_back(remainder, ReturnReason.PREEMPTED)
            log.info("slice_held", slice_id=slice_id, batch_id=remainder.order.batch_id, lines=len(remainder.lines))
