"""The life of the one notifier process: take the lease, read the log up to it, then deliver while reading on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from vbatch.chassis.failpoints import Failpoint, reached
from vbatch.chassis.logs import get_logger
from vbatch.contracts import events as e
from vbatch.contracts.codec import Unreadable, decode, encode
from vbatch.contracts.message import Recorded
from vbatch.journal.port import Conflict, Lease, Log
from vbatch.notifier.core.payloads import SUBJECTS
from vbatch.notifier.core.state import State, evolve
from vbatch.notifier.flows.delivering import SOURCE, Delivering
from vbatch.notifier.ports import Dependencies

NOTIFIER_ID = "main"


class Fenced(Exception):
    """A newer notifier process has taken the lease."""


@dataclass
class Progress:
    """Where the process stands, for whoever asks."""

    state: State = field(default_factory=State)
    delivering: Delivering | None = None
    is_caught_up: bool = False


async def serve(dependencies: Dependencies, progress: Progress) -> None:
    """For ever. Raises Conflict or Fenced when a newer process took over."""
    lease = await take_lease(dependencies)
    reached(Failpoint.NOTIFIER_LEASED)
    delivering = progress.delivering = Delivering(dependencies, progress.state, lease)
    try:
        async with asyncio.TaskGroup() as tasks:
            caught_up = asyncio.Event()
            tasks.create_task(_follow(dependencies.journal.log, lease, progress, caught_up))
            await caught_up.wait()
            tasks.create_task(delivering.run())
    except* (Conflict, Fenced):
        get_logger().error("fenced_by_a_newer_process", epoch=lease.epoch)
        raise


async def take_lease(dependencies: Dependencies) -> Lease:
    """Every older notifier stops when it reads of it, and can write nothing more."""
    event = e.NotifierLeased(notifier_id=NOTIFIER_ID, pid=dependencies.pid, at=dependencies.now())
    lease = await dependencies.journal.log.acquire(encode(event, source=SOURCE))
    get_logger().info("lease_taken", epoch=lease.epoch)
    return lease


async def _follow(log: Log, lease: Lease, progress: Progress, caught_up: asyncio.Event) -> None:
    """Our own lease stands behind everything that there was: once it is read, the past is known."""
    async with log.tail(0, SUBJECTS) as tail:
        async for records in tail:
            for record in records:
                _fold(record, lease, progress.state)
            if progress.state.sequence >= lease.epoch and not progress.is_caught_up:
                progress.is_caught_up = True
                get_logger().info("notifier_caught_up", endpoints=len(progress.state.endpoints))
                caught_up.set()
            if progress.delivering is not None:
                progress.delivering.on_folded()


def _fold(record: Recorded, lease: Lease, state: State) -> None:
    try:
        event = decode(record)
    except Unreadable as error:
        get_logger().warning("event_passed_over", sequence=record.sequence, reason=str(error))
        state.sequence = record.sequence
        return
    if isinstance(event, e.NotifierLeased) and record.sequence > lease.epoch:
        raise Fenced(f"process {event.pid} took the lease at {record.sequence}")
    evolve(state, event, record.sequence)
