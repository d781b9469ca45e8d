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
from vbatch.chassis.process import Stop, until_stopped
from vbatch.contracts import events as e
from vbatch.contracts.catalogue import BY_TYPE
from vbatch.contracts.codec import Unreadable, decode_outline
from vbatch.contracts.ids import BatchId, SliceId
from vbatch.contracts.message import Message, Recorded
from vbatch.journal.port import Journal, Rejected
from vbatch.journal.quarantine import QuarantineMeans
from vbatch.journal.single_writer import Deciding, Folding, Heartbeats, SingleWriter, keep_beating, until_silent
from vbatch.scheduler.core.decide import FLAW_SHARE_MAX, DecisionInput, decide
from vbatch.scheduler.core.demand import NO_DEMANDS, Demands
from vbatch.scheduler.core.giving_up import forget, give_up
from vbatch.scheduler.core.policy.policy import Policy
from vbatch.scheduler.core.state.state import State, evolve
from vbatch.scheduler.flows.history import archived_between, fold_past, has_lost_its_answers, newest_of_skeleton
from vbatch.scheduler.flows.order_sender import OrderSender
from vbatch.scheduler.flows.planning import Limits, Planning
from vbatch.scheduler.flows.runner_watch import SILENCE_SECONDS_MAX, RunnerWatch
from vbatch.scheduler.ports import Clock, Planner

SOURCE = "scheduler"

log = structlog.stdlib.get_logger()


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
    flaw_share_max: float = FLAW_SHARE_MAX
    scheduler_id: str = "main"
    heartbeats: Heartbeats | None = None
    """If None, this process does not report that it is alive."""
    is_standby: bool = False
    state: State = field(default_factory=State)
    demanded: Callable[[], Demands] = lambda: NO_DEMANDS
    """What clients wait for now."""
    observe: Callable[[e.AnyEvent], None] = lambda _event: None
    """Called with each event that is read after the past has been folded, before that event is folded."""
    writer: SingleWriter = field(init=False)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.writer = SingleWriter(self.journal, SOURCE, self.means)

    @property
    def is_caught_up(self) -> bool:
        return self.writer.position.is_caught_up

    async def run(self, stop: Stop) -> None:
        """Run until asked to stop. Raises Fenced or ConnectionLost (in a group)."""
        await until_stopped(stop, self._run())

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            past = await self._wait_for_lease(tasks)
            await self.writer.take_lease(self._leased())
            reached(Failpoint.SCHEDULER_LEASED)
            if self.heartbeats is not None:
                tasks.create_task(keep_beating(self.heartbeats))
            if not past:
                tasks.create_task(self._read(self.writer.epoch))
            tasks.create_task(self._act())
            tasks.create_task(self.writer.watch())

    def _leased(self) -> e.SchedulerLeased:
        return e.SchedulerLeased(scheduler_id=self.scheduler_id, pid=self.pid, at=self.clock())

    async def _wait_for_lease(self, tasks: asyncio.TaskGroup) -> int:
        """A standby folds the log while it waits. Returns the sequence up to which the past is read first; 0 if the
        reading has not begun."""
        if not self.is_standby or self.heartbeats is None:
            return 0
        if past := await newest_of_skeleton(self.journal.log):
            tasks.create_task(self._read(past))
        log.info("standing_by", after=past)
        await until_silent(self.heartbeats, self.journal.log, BY_TYPE[e.SchedulerLeased].subject(self._leased()))
        log.warning("taking_over")
        return past

    async def _read(self, until: int) -> None:
        """Fold the log, the past up to `until` first: the sequence of an event of the skeleton."""
        archived: frozenset[str] = frozenset()
        folding = Folding(
            writer=self.writer,
            evolve=self._evolve,
            decode=decode_outline,
            passes_over=lambda record: has_lost_its_answers(record, archived),
            on_folded=self._changed.set,
            on_poison=self._pass_over_poison,
            on_unreadable=self._pass_over_unreadable,
        )
        start = await fold_past(self.journal.log, until, folding.fold)
        archived = await archived_between(self.journal.log, start, until)
        await folding.follow(after=start - 1)

    def _evolve(self, event: e.AnyEvent, sequence: int) -> None:
        if self.writer.position.is_caught_up:
            self.observe(event)
        evolve(self.state, event, sequence)

    def _pass_over_poison(self, record: Recorded, reason: str) -> None:
        self.state.sequence = record.sequence
        give_up(self.state, record, reason)

    async def _pass_over_unreadable(self, record: Recorded, error: Unreadable) -> None:
        self.state.sequence = record.sequence
        log.error("event_unreadable", sequence=record.sequence, subject=record.subject, reason=str(error))
        await self.journal.dead.append(record, str(error))

    async def _act(self) -> None:
        await self.writer.position.caught_up()
        epoch, quarantine = self.writer.epoch, self.writer.quarantine
        log.info("caught_up", sequence=self.state.sequence, epoch=epoch, batches=len(self.state.batches))
        planning = Planning(self.state, self.planner, self.clock, self.limits, self._changed.set, quarantine)
        ordering = OrderSender(self.state, self.journal.work, self.clock, self._order_refused)
        watch = RunnerWatch(self.state, self.journal.work, self.clock, self._append, self.silence_seconds_max)
        new_slice_id = slice_ids(epoch).__next__
        async with asyncio.TaskGroup() as tasks:

            def decide_now() -> list[e.AnyEvent]:
                planning.advance(tasks)
                now, demands = self.clock(), self.demanded()
                return decide(
                    self.state,
                    DecisionInput(now, planning.plan_results, self.policy, new_slice_id, self.flaw_share_max, demands),
                )

            tasks.create_task(watch.keep())
            await Deciding(
                writer=self.writer, decide=decide_now, append=self._append, act=ordering.send, changed=self._changed
            ).run()

    def wake(self) -> None:
        """Decide now: something has changed that is not in the log."""
        self._changed.set()

    async def _append(self, event: e.Event) -> None:
        """Store the event and return once it is folded. If the event is refused, its batch is given up."""
        try:
            sequence = await self.writer.append(event)
        except Rejected as refusal:
            return self._give_up(getattr(event, "batch_id", None), refusal)
        reached(Failpoint.DECISION_RECORDED)
        log.info("event_appended", event_id=BY_TYPE[type(event)].message_id(event), sequence=sequence, **_ids(event))
        await self.writer.position.wait_for(sequence)

    async def _order_refused(self, batch_id: BatchId, message: Message, refusal: Rejected) -> None:
        await self.writer.quarantine.refuse(message, refusal)
        self._give_up(batch_id, refusal)

    def _give_up(self, batch_id: BatchId | None, refusal: Rejected) -> None:
        """End the batch of a refused message; if even the end cannot be recorded, this process forgets the batch."""
        if batch_id is None:
            return
        if batch_id in self.state.given_up:
            forget(self.state, batch_id)
        else:
            self.state.given_up[batch_id] = f"a record of it was refused ({refusal})"


def _ids(event: e.Event) -> dict[str, str]:
    """The id that a reader of the logs searches for: the batch that the event is about, if any."""
    batch_id = getattr(event, "batch_id", None)
    return {"batch_id": batch_id} if batch_id is not None else {}


def slice_ids(epoch: int) -> Iterator[SliceId]:
    """Slice ids that are unique: no other scheduler has this epoch."""
    return (SliceId(f"s-{epoch}-{number}") for number in count(1))
