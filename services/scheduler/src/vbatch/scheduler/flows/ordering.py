"""Telling runners what the log says they shall do. Orders are made from the folded state, so a new scheduler makes the
same ones again and the queue drops the repeats."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from vbatch.chassis.failpoints import Failpoint, reached
from vbatch.contracts.ids import BatchId, SliceId
from vbatch.contracts.orders import HoldBatch, RecallBatch, WorkOrder, encode_order
from vbatch.contracts.subjects import work
from vbatch.journal.port import WorkQueue
from vbatch.scheduler.core.decide import order_of
from vbatch.scheduler.core.job import stop_asked_at
from vbatch.scheduler.core.state import Slice, State
from vbatch.scheduler.ports import Clock


@dataclass
class Ordering:
    """What was put on the queue in this process's life."""

    state: State
    queue: WorkQueue
    clock: Clock
    _ordered: set[SliceId] = field(default_factory=set)
    _recalled: set[tuple[BatchId, int]] = field(default_factory=set)
    _held: set[tuple[int, int]] = field(default_factory=set)
    """Epoch of the runner and sequence of the pause."""

    async def send(self) -> None:
        """Put every order that is due and not yet put."""
        for it in self._unordered():
            if order := order_of(self.state, it):
                await self._put(it, order)
                self._ordered.add(it.event.slice_id)
        for it in list(self._to_recall()):
            await self._put(it, RecallBatch(epoch=it.event.epoch, batch_id=it.event.batch_id))
            self._recalled.add((it.event.batch_id, it.event.epoch))
        for it, pause in list(self._to_hold()):
            await self._put(it, HoldBatch(epoch=it.event.epoch, batch_id=it.event.batch_id, pause=pause))
            self._held.add((it.event.epoch, pause))
        self._ordered &= self.state.slices.keys()

    async def _put(self, it: Slice, order: WorkOrder) -> None:
        reached(Failpoint.ORDER_DUE)
        await self.queue.put(encode_order(order, subject=work(it.event.runner_id, it.event.epoch)))
        reached(Failpoint.ORDER_PUT)

    def _unordered(self) -> list[Slice]:
        return [it for slice_id, it in self.state.slices.items() if slice_id not in self._ordered]

    def _to_recall(self) -> Iterator[Slice]:
        now = self.clock()
        for job in self.state.jobs.values():
            if stop_asked_at(job, now) is None:
                continue
            for it in self.state.slices_of_batch(job.batch_id):
                if (job.batch_id, it.event.epoch) not in self._recalled:
                    yield it

    def _to_hold(self) -> Iterator[tuple[Slice, int]]:
        for job in self.state.jobs.values():
            if not job.is_paused:
                continue
            for it in self.state.slices_of_batch(job.batch_id):
                if (it.event.epoch, job.pause_sequence) not in self._held:
                    yield it, job.pause_sequence
