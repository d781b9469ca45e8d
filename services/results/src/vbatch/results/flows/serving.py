"""The life of the one results process: take the lease, own the folder, then project, seal and sweep concurrently."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Set
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from vbatch.chassis.blobs import Blobs
from vbatch.chassis.failpoints import Failpoint, reached
from vbatch.chassis.files import LockHeld, hold_lock
from vbatch.chassis.logs import get_logger
from vbatch.contracts import events as e
from vbatch.contracts.catalogue import BY_TYPE
from vbatch.contracts.ids import BatchId
from vbatch.journal.port import Fenced, Journal
from vbatch.journal.quarantine import QuarantineMeans
from vbatch.journal.single_writer import Heartbeats, Position, SingleWriter, keep_beating, until_silent
from vbatch.results.flows.answer_sweeping import AnswerSweep
from vbatch.results.flows.archiving import ArchiveMeans, Archiver, gone_answers
from vbatch.results.flows.evaluating import Evaluator
from vbatch.results.flows.output_sweeping import OutputSweep
from vbatch.results.flows.projecting import Committed, Projector
from vbatch.results.flows.retaining import Retainer, RetentionMeans
from vbatch.results.flows.retrying import PASSING
from vbatch.results.flows.sealing import SOURCE, Sealer
from vbatch.results.flows.sweeping import Sweeper, SweepTimes
from vbatch.results.ports import CheckpointMoved, PartialFiles, ReadModel, ReadModelMismatch

RESULTS_ID = "main"
LOCK_NAME = ".lock"
LOCK_SECONDS_MAX = 30.0
"""An older process releases the folder as soon as it reads of our lease."""
LOCK_POLL_SECONDS = 0.1
EXPECTED = (*PASSING, CheckpointMoved, ReadModelMismatch)
"""Ends of the service for which no event is to blame."""


@dataclass(frozen=True)
class Dependencies:
    """What results works with, and the observers of its work."""

    journal: Journal
    read_model: ReadModel
    partials: PartialFiles
    blobs: Blobs
    folder: Path
    pid: int
    now: Callable[[], datetime]
    on_committed: Callable[[Committed], None]
    on_sealed: Callable[[e.BatchSealed, int], None]
    on_dead_letters: Callable[[int], None]
    sweep_times: SweepTimes
    means: QuarantineMeans = field(default_factory=QuarantineMeans)
    archive: ArchiveMeans | None = None
    """If None, nothing leaves the log."""
    retention: RetentionMeans | None = None
    """If None, every file stays until its owner deletes it or it expires."""
    heartbeats: Heartbeats | None = None
    """If None, this process does not report that it is alive."""
    is_standby: bool = False


@dataclass
class Progress:
    """The progress of the process, for its observers."""

    position: Position = field(default_factory=Position)
    projector: Projector | None = None
    sealer: Sealer | None = None


async def serve(dependencies: Dependencies, progress: Progress) -> None:
    """Serve until cancelled. Raises Fenced, ConnectionLost and unrecoverable errors (in a group)."""
    journal, means = dependencies.journal, dependencies.means
    writer = SingleWriter(journal, SOURCE, means, passing=EXPECTED, position=progress.position)
    await _wait_for_lease(dependencies)
    await writer.take_lease(lease(dependencies.pid, dependencies.now()))
    get_logger().info("lease_taken", epoch=writer.epoch)
    reached(Failpoint.RESULTS_LEASED)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(writer.watch())
            if dependencies.heartbeats is not None:
                tasks.create_task(keep_beating(dependencies.heartbeats))
            tasks.create_task(_work(dependencies, progress, writer))
    except* Fenced:
        get_logger().error("fenced_by_a_newer_process", epoch=writer.epoch)
        raise


async def _wait_for_lease(dependencies: Dependencies) -> None:
    """Return at once, except in a standby."""
    if dependencies.is_standby and dependencies.heartbeats is not None:
        get_logger().info("standing_by")
        subject = BY_TYPE[e.ResultsLeased].subject(lease(dependencies.pid, dependencies.now()))
        await until_silent(dependencies.heartbeats, dependencies.journal.log, subject)
        get_logger().warning("taking_over")


def lease(pid: int, now: datetime) -> e.ResultsLeased:
    """The lease of the one results process, or of a rebuild in its place."""
    return e.ResultsLeased(results_id=RESULTS_ID, pid=pid, at=now)


async def _work(dependencies: Dependencies, progress: Progress, writer: SingleWriter) -> None:
    """Wait for the folder, then work. The wait also ends if there is a newer process, which then gets the folder."""
    async with own_folder(dependencies.folder):
        sealer, output_sweep = _sealer(dependencies, writer), _output_sweep(dependencies, progress)
        evaluator = _evaluator(dependencies, writer)
        follower = _follower(dependencies, progress, sealer, output_sweep, evaluator)
        projector = _projector(dependencies, writer, follower)
        progress.projector, progress.sealer = projector, sealer
        async with asyncio.TaskGroup() as tasks:
            for duty in (projector, sealer, evaluator, _sweeper(dependencies, progress), output_sweep):
                tasks.create_task(duty.run())
            if dependencies.archive is not None:
                tasks.create_task(_archiver(dependencies.archive, dependencies, progress, writer).run())
            if dependencies.retention is not None:
                tasks.create_task(_retainer(dependencies.retention, dependencies, progress, writer).run())


def _follower(
    dependencies: Dependencies, progress: Progress, sealer: Sealer, output_sweep: OutputSweep, evaluator: Evaluator
) -> Callable[[Committed], None]:
    """Offers seals only once caught up: before that, the end of a batch may come later in the log."""

    def follow(committed: Committed) -> None:
        progress.position.advance(committed.state.sequence)
        if progress.position.is_caught_up:
            sealer.offer(committed.state)
        evaluator.follow(committed)
        if committed.changes.deletions:
            output_sweep.file_deleted()
        dependencies.on_committed(committed)

    return follow


def _sealer(dependencies: Dependencies, writer: SingleWriter) -> Sealer:
    return Sealer(
        writer,
        read_model=dependencies.read_model,
        partials=dependencies.partials,
        blobs=dependencies.blobs,
        now=dependencies.now,
        on_sealed=dependencies.on_sealed,
    )


def _evaluator(dependencies: Dependencies, writer: SingleWriter) -> Evaluator:
    return Evaluator(writer, read_model=dependencies.read_model, partials=dependencies.partials, now=dependencies.now)


def _sweeper(dependencies: Dependencies, progress: Progress) -> Sweeper:
    return Sweeper(
        dependencies.read_model,
        dependencies.blobs,
        dependencies.journal.dead,
        AnswerSweep(
            dependencies.journal.log,
            dependencies.blobs,
            grace_seconds=dependencies.sweep_times.grace_seconds,
            now=dependencies.now,
        ),
        times=dependencies.sweep_times,
        now=dependencies.now,
        is_caught_up=lambda: progress.position.is_caught_up,
        on_dead_letters=dependencies.on_dead_letters,
    )


def _output_sweep(dependencies: Dependencies, progress: Progress) -> OutputSweep:
    return OutputSweep(
        dependencies.journal.log,
        dependencies.read_model,
        dependencies.partials,
        dependencies.blobs,
        every_seconds=dependencies.sweep_times.every_seconds,
        now=dependencies.now,
        is_caught_up=lambda: progress.position.is_caught_up,
    )


def _archiver(means: ArchiveMeans, dependencies: Dependencies, progress: Progress, writer: SingleWriter) -> Archiver:
    async def gone() -> Mapping[BatchId, Set[str]]:
        """The gone files; none before the projection has caught up: what it does not know yet is found in the next
        round."""
        return await gone_answers(dependencies.read_model, dependencies.now()) if progress.position.is_caught_up else {}

    return Archiver(means, writer, now=dependencies.now, gone=gone)


def _retainer(means: RetentionMeans, dependencies: Dependencies, progress: Progress, writer: SingleWriter) -> Retainer:
    return Retainer(
        means,
        writer,
        dependencies.read_model,
        now=dependencies.now,
        is_caught_up=lambda: progress.position.is_caught_up,
    )


def _projector(
    dependencies: Dependencies, writer: SingleWriter, on_committed: Callable[[Committed], None]
) -> Projector:
    return Projector(
        writer,
        read_model=dependencies.read_model,
        partials=dependencies.partials,
        blobs=dependencies.blobs,
        on_committed=on_committed,
    )


@asynccontextmanager
async def own_folder(folder: Path) -> AsyncIterator[None]:
    """Hold the folder's lock, because two writers would cut each other's files. Raises LockHeld when the other process
    does not release it in time."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True, mode=0o700)
    with await _locked(folder / LOCK_NAME):
        yield


async def _locked(path: Path) -> ExitStack:
    deadline = asyncio.get_running_loop().time() + LOCK_SECONDS_MAX
    held = ExitStack()
    while True:
        try:
            held.enter_context(hold_lock(path))
            return held
        except LockHeld:
            if asyncio.get_running_loop().time() > deadline:
                raise
        await asyncio.sleep(LOCK_POLL_SECONDS)
