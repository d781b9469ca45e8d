"""The loop: fold the log, decide, append, order.

The scheduler acts only on what it has read back from the log, including its own events. So nothing is decided twice,
and a new process that folds the same log continues where the old one stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

import structlog

from vbatch.chassis.failpoints import Failpoint, reached
from vbatch.chassis.process import Stop
from vbatch.contracts import events as e
from vbatch.contracts.codec import Unreadable, decode_outline, encode
from vbatch.contracts.ids import BatchId, SliceId
from vbatch.contracts.message import Message, Recorded
from vbatch.journal.port import Conflict, Journal, Lease, Rejected
from vbatch.journal.quarantine import Quarantine, QuarantineMeans, place_of
from vbatch.scheduler.core.decide import DecisionInput, decide
from vbatch.scheduler.core.demand import NO_DEMANDS, Demands
from vbatch.scheduler.core.giving_up import forget, give_up
from vbatch.scheduler.core.policy.policy import Policy
from vbatch.scheduler.core.state.state import State, evolve
from vbatch.scheduler.flows.history import fold_past
from vbatch.scheduler.flows.order_sender import OrderSender
from vbatch.scheduler.flows.planning import Limits, Planning
from vbatch.scheduler.flows.runner_watch import SILENCE_SECONDS_MAX, RunnerWatch
from vbatch.scheduler.ports import Clock, Planner

SOURCE = "scheduler"
TICK_SECONDS = 0.5
"""The longest delay until an expiry or a due retry is noticed."""

log = structlog.stdlib.get_logger()


class JournalLost(Exception):
    """The connection to NATS will not come back: the process must be restarted."""


@dataclass
class Scheduler:
    """One scheduling process: it reads the log without end, and acts once it has caught up."""

    journal: Journal
    planner: Planner
    policy: Policy
    clock: Clock
    pid: int
    limits: Limits
    silence_seconds_max: float = SILENCE_SECONDS_MAX
    means: QuarantineMeans = field(default_factory=QuarantineMeans)
    scheduler_id: str = "main"
    state: State = field(default_factory=State)
    is_caught_up: bool = False
    demanded: Callable[[], Demands] = lambda: NO_DEMANDS
    """What clients wait for now."""
    observe: Callable[[e.AnyEvent], None] = lambda _event: None
    """Told of each event that is read once all the past is folded, before the event itself is."""
    quarantine: Quarantine = field(init=False)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.quarantine = Quarantine(self.journal.dead, self.means)

    async def run(self, stop: Stop) -> None:
        """Run until asked to stop. Raises Conflict (in a group) when a newer scheduler holds the lease, JournalLost."""
        taken = e.SchedulerLeased(scheduler_id=self.scheduler_id, pid=self.pid, at=self.clock())
        lease = await self.journal.log.acquire(encode(taken, source=SOURCE))
        reached(Failpoint.SCHEDULER_LEASED)
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(self._read(lease)),
                tasks.create_task(self._act(lease)),
                tasks.create_task(self._watch_connection()),
                tasks.create_task(self._watch_lease(lease)),
            ]
            await stop.wait()
            for task in running:
                task.cancel()

    async def _read(self, lease: Lease) -> None:
        start = await fold_past(self.journal.log, lease.epoch, self._fold)
        async with self.journal.log.tail(after=start - 1) as lists:
            async for records in lists:
                for record in records:
                    await self._fold(record)
                self._changed.set()
                await asyncio.sleep(0)  # a long history must not silence health

    async def _fold(self, record: Recorded) -> None:
        place = place_of(record)
        if self.quarantine.is_poison(place):
            self.state.sequence = record.sequence
            give_up(self.state, record, self.quarantine.reason(place))
            await self.quarantine.bury(record, place)
            return
        with self.quarantine.watch(place):
            await self._evolve(record)

    async def _evolve(self, record: Recorded) -> None:
        try:
            event = decode_outline(record)
            if self.is_caught_up:
                self.observe(event)
            evolve(self.state, event, record.sequence)
        except Unreadable as error:
            self.state.sequence = record.sequence
            log.error("event_unreadable", sequence=record.sequence, subject=record.subject, reason=str(error))
            await self.journal.dead.append(record, str(error))

    async def _act(self, lease: Lease) -> None:
        await self._folded(lease.epoch)
        self.is_caught_up = True
        log.info("caught_up", sequence=self.state.sequence, epoch=lease.epoch, batches=len(self.state.batches))
        planning = Planning(self.state, self.planner, self.clock, self.limits, self._changed.set, self.quarantine)
        ordering = OrderSender(self.state, self.journal.work, self.clock, self._refused)
        new_slice_id = slice_ids(lease.epoch).__next__
        watch = RunnerWatch(
            self.state,
            self.journal.work,
            self.clock,
            lambda event: self._append(event, lease),
            self.silence_seconds_max,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(watch.keep())
            while True:
                self._changed.clear()
                planning.advance(tasks)
                events = decide(
                    self.state,
                    DecisionInput(
                        self.clock(), planning.plan_results, self.policy, new_slice_id, demands=self.demanded()
                    ),
                )
                for event in events:
                    await self._append(event, lease)
                await ordering.send()
                if not events:
                    await self._wait_for_change()

    def wake(self) -> None:
        """Decide now: something has changed that is not in the log."""
        self._changed.set()

    async def _append(self, event: e.AnyEvent, lease: Lease) -> None:
        message = encode(event, source=SOURCE)
        try:
            sequence = await self.journal.log.append(message, lease.guard())
        except Rejected as refusal:
            await self._refused(getattr(event, "batch_id", None), message, refusal)
            return
        reached(Failpoint.DECISION_RECORDED)
        log.info("event_appended", event_id=message.message_id, sequence=sequence, **_ids(event))
        await self._folded(sequence)

    async def _refused(self, batch_id: BatchId | None, message: Message, refusal: Rejected) -> None:
        """End the batch of a refused message; if even the end cannot be recorded, this process forgets the batch."""
        await self.quarantine.refuse(message, refusal)
        if batch_id is None:
            return
        if batch_id in self.state.given_up:
            forget(self.state, batch_id)
        else:
            self.state.given_up[batch_id] = f"a record of it was refused ({refusal})"

    async def _folded(self, sequence: int) -> None:
        while self.state.sequence < sequence:
            self._changed.clear()
            await self._changed.wait()

    async def _wait_for_change(self) -> None:
        try:
            async with asyncio.timeout(TICK_SECONDS):
                await self._changed.wait()
        except TimeoutError:
            return  # time itself may have made something due

    async def _watch_lease(self, lease: Lease) -> None:
        """End this process as soon as there is a newer lease, even when it has nothing to append."""
        async with self.journal.log.tail(lease.epoch, (lease.subject,)) as lists:
            async for records in lists:
                raise Conflict(f"a newer lease has sequence {records[-1].sequence}")

    async def _watch_connection(self) -> None:
        await self.journal.dead_event.wait()
        raise JournalLost("the connection to NATS is closed for good")


def _ids(event: e.Event) -> dict[str, str]:
    """What a reader of the log looks for: the batch that the event is about, if it is about one."""
    batch_id = getattr(event, "batch_id", None)
    return {"batch_id": batch_id} if batch_id is not None else {}


def slice_ids(epoch: int) -> Iterator[SliceId]:
    """Slice ids that are unique: no other scheduler has this epoch."""
    return (SliceId(f"s-{epoch}-{number}") for number in count(1))
