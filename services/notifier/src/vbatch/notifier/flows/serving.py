"""Runs the one notifier process: it takes the lease, reads the log up to it, then delivers while it keeps reading."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial

from vbatch.chassis.failpoints import Failpoint, reached
from vbatch.chassis.logs import get_logger
from vbatch.contracts import events as e
from vbatch.contracts.codec import Unreadable
from vbatch.contracts.message import Recorded
from vbatch.journal.port import Fenced
from vbatch.journal.single_writer import Folding, Position, SingleWriter
from vbatch.notifier.core.payloads import SUBJECTS
from vbatch.notifier.core.state import State, evolve
from vbatch.notifier.flows.delivering import SOURCE, Delivering
from vbatch.notifier.ports import Dependencies

NOTIFIER_ID = "main"


@dataclass
class Progress:
    """The progress of the process, for its observers."""

    state: State = field(default_factory=State)
    position: Position = field(default_factory=Position)
    delivering: Delivering | None = None


async def serve(dependencies: Dependencies, progress: Progress) -> None:
    """Serve until cancelled. Raises Fenced, ConnectionLost and unrecoverable errors (in a group)."""
    writer = SingleWriter(dependencies.journal, SOURCE, position=progress.position)
    await writer.take_lease(e.NotifierLeased(notifier_id=NOTIFIER_ID, pid=dependencies.pid, at=dependencies.now()))
    get_logger().info("lease_taken", epoch=writer.epoch)
    reached(Failpoint.NOTIFIER_LEASED)
    delivering = progress.delivering = Delivering(dependencies, progress.state, writer)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(writer.watch())
            tasks.create_task(_folding(writer, progress.state, delivering).follow(subjects=SUBJECTS))
            tasks.create_task(delivering.run())
    except* Fenced:
        get_logger().error("fenced_by_a_newer_process", epoch=writer.epoch)
        raise


def _folding(writer: SingleWriter, state: State, delivering: Delivering) -> Folding:
    return Folding(
        writer=writer, evolve=partial(evolve, state), on_folded=delivering.changed.set, on_unreadable=_pass_over
    )


async def _pass_over(record: Recorded, error: Unreadable) -> None:
    get_logger().warning("event_passed_over", sequence=record.sequence, reason=str(error))
