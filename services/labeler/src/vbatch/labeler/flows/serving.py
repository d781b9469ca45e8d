"""Runs the one labeler process: it takes the lease, reads the log up to it, then pushes and pulls while it keeps
reading."""

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
from vbatch.labeler.core.state import LABELER, SUBJECTS, State, evolve
from vbatch.labeler.flows.pulling import Pulling
from vbatch.labeler.flows.pushing import Pushing
from vbatch.labeler.ports import Dependencies

LABELER_ID = "main"


@dataclass
class Progress:
    """The progress of the process, for its observers. `trouble` is the reason why it waits for Label Studio."""

    state: State = field(default_factory=State)
    position: Position = field(default_factory=Position)
    bell: asyncio.Event = field(default_factory=asyncio.Event)
    trouble: str | None = None

    def say_trouble(self, trouble: str | None) -> None:
        if trouble is not None and trouble != self.trouble:
            get_logger().warning("label_studio_away", reason=trouble)
        self.trouble = trouble


async def serve(dependencies: Dependencies, progress: Progress) -> None:
    """Serve until cancelled. Raises Fenced, ConnectionLost and unrecoverable errors (in a group)."""
    writer = SingleWriter(dependencies.journal, LABELER, position=progress.position)
    await writer.take_lease(e.LabelerLeased(labeler_id=LABELER_ID, pid=dependencies.pid, at=dependencies.now()))
    get_logger().info("lease_taken", epoch=writer.epoch)
    reached(Failpoint.LABELER_LEASED)
    pushing = Pushing(dependencies, progress.state, writer, progress.say_trouble)
    pulling = Pulling(dependencies, progress.state, writer, progress.bell, progress.say_trouble)
    folding = Folding(
        writer=writer,
        evolve=partial(evolve, progress.state),
        on_folded=pushing.changed.set,
        on_unreadable=_pass_over,
    )
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(writer.watch())
            tasks.create_task(folding.follow(subjects=SUBJECTS))
            tasks.create_task(pushing.run())
            tasks.create_task(pulling.run())
    except* Fenced:
        get_logger().error("fenced_by_a_newer_process", epoch=writer.epoch)
        raise


async def _pass_over(record: Recorded, error: Unreadable) -> None:
    get_logger().warning("event_passed_over", sequence=record.sequence, reason=str(error))
