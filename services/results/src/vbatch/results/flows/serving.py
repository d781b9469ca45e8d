"""The life of the one results process: take the lease, own the folder, then project, seal and sweep concurrently."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Set
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from vbatch.chassis.blobs import Blobs
from vbatch.chassis.failpoints import Failpoint, reached
from vbatch.chassis.files import LockHeld, hold_lock
from vbatch.chassis.logs import get_logger
from vbatch.contracts import codec, events as e
from vbatch.contracts.ids import BatchId
from vbatch.journal.port import Conflict, Journal, Lease, Log
from vbatch.journal.quarantine import Quarantine, QuarantineMeans
from vbatch.results.flows.answer_sweeping import AnswerSweep
from vbatch.results.flows.archiving import ArchiveMeans, Archiver, gone_answers
from vbatch.results.flows.output_sweeping import OutputSweep
from vbatch.results.flows.projecting import Committed, Fenced, Projector
from vbatch.results.flows.retrying import PASSING
from vbatch.results.flows.sealing import SOURCE, Sealer
from vbatch.results.flows.sweeping import Sweeper, SweepTimes
from vbatch.results.ports import CheckpointMoved, PartialFiles, ReadModel, ReadModelMismatch

RESULTS_ID = "main"
LOCK_NAME = ".lock"
LOCK_SECONDS_MAX = 30.0
"""An older process releases the folder as soon as it reads of our lease."""
LOCK_POLL_SECONDS = 0.1
EXPECTED = (*PASSING, Fenced, CheckpointMoved, ReadModelMismatch)
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
    """Without it nothing leaves the log."""


@dataclass
class Progress:
    """The progress of the process, for its observers: `caught_up_at` is the head of the log when it took the lease."""

    caught_up_at: int | None = None
    sequence: int = 0
    projector: Projector | None = None
    sealer: Sealer | None = None
    is_caught_up: bool = False


async def serve(dependencies: Dependencies, progress: Progress) -> None:
    """Serve until cancelled. Raises Conflict or Fenced when a newer process took over, and unrecoverable errors."""
    lease = await take_lease(dependencies.journal.log, dependencies.pid, dependencies.now())
    reached(Failpoint.RESULTS_LEASED)
    async with own_folder(dependencies.folder, lambda: _must_be_newest(dependencies.journal.log, lease)):
        progress.caught_up_at = await dependencies.journal.log.last_sequence()
        quarantine = Quarantine(dependencies.journal.dead, dependencies.means, passing=EXPECTED)
        sealer, output_sweep = _sealer(dependencies, lease, quarantine), _output_sweep(dependencies, progress)
        projector = _projector(dependencies, lease, quarantine, _follower(dependencies, progress, sealer, output_sweep))
        progress.projector, progress.sealer = projector, sealer
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(projector.run())
                tasks.create_task(sealer.run())
                tasks.create_task(_sweeper(dependencies, progress).run())
                tasks.create_task(output_sweep.run())
                if dependencies.archive is not None:
                    tasks.create_task(_archiver(dependencies, lease, progress, quarantine).run())
        except* (Conflict, Fenced):
            get_logger().error("fenced_by_a_newer_process", epoch=lease.epoch)
            raise


async def take_lease(log: Log, pid: int, now: datetime) -> Lease:
    """Append our lease; every older results process stops when it reads of it."""
    event = e.ResultsLeased(results_id=RESULTS_ID, pid=pid, at=now)
    lease = await log.acquire(codec.encode(event, source=SOURCE))
    get_logger().info("lease_taken", epoch=lease.epoch)
    return lease


def _follower(
    dependencies: Dependencies, progress: Progress, sealer: Sealer, output_sweep: OutputSweep
) -> Callable[[Committed], None]:
    """Offers seals only once caught up: before that, the end of a batch may come later in the log."""

    def follow(committed: Committed) -> None:
        progress.sequence = committed.state.sequence
        progress.is_caught_up = progress.sequence >= (progress.caught_up_at or 0)
        if progress.is_caught_up:
            sealer.offer(committed.state)
        if committed.changes.deletions:
            output_sweep.file_deleted()
        dependencies.on_committed(committed)

    return follow


def _sealer(dependencies: Dependencies, lease: Lease, quarantine: Quarantine) -> Sealer:
    return Sealer(
        dependencies.journal.log,
        lease,
        read_model=dependencies.read_model,
        partials=dependencies.partials,
        blobs=dependencies.blobs,
        now=dependencies.now,
        on_sealed=dependencies.on_sealed,
        quarantine=quarantine,
    )


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
        is_caught_up=lambda: progress.is_caught_up,
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
        is_caught_up=lambda: progress.is_caught_up,
    )


def _archiver(dependencies: Dependencies, lease: Lease, progress: Progress, quarantine: Quarantine) -> Archiver:
    assert dependencies.archive is not None, "without means nothing is archived"

    async def gone() -> Mapping[BatchId, Set[str]]:
        """Nothing before the projection has caught up: what it does not know yet is asked for in the next round."""
        return await gone_answers(dependencies.read_model, dependencies.now()) if progress.is_caught_up else {}

    return Archiver(dependencies.archive, lease, now=dependencies.now, gone=gone, quarantine=quarantine)


def _projector(
    dependencies: Dependencies, lease: Lease, quarantine: Quarantine, on_committed: Callable[[Committed], None]
) -> Projector:
    return Projector(
        dependencies.journal,
        lease,
        read_model=dependencies.read_model,
        partials=dependencies.partials,
        blobs=dependencies.blobs,
        on_committed=on_committed,
        quarantine=quarantine,
    )


async def _must_be_newest(log: Log, lease: Lease) -> None:
    """Check that no newer process holds the folder, since that one will not release it. Raises Fenced."""
    newest = await log.last(lease.subject)
    if newest is not None and newest.sequence > lease.epoch:
        raise Fenced(f"a newer process took the lease at {newest.sequence}")


async def _nothing() -> None:
    """The default check: do nothing."""


@asynccontextmanager
async def own_folder(folder: Path, while_held: Callable[[], Awaitable[None]] = _nothing) -> AsyncIterator[None]:
    """Hold the folder's lock, because two writers would cut each other's files. `while_held` is called before each
    further try. Raises LockHeld when the other process does not release it in time, and what `while_held` raises."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True, mode=0o700)
    with await _locked(folder / LOCK_NAME, while_held):
        yield


async def _locked(path: Path, while_held: Callable[[], Awaitable[None]]) -> ExitStack:
    deadline = asyncio.get_running_loop().time() + LOCK_SECONDS_MAX
    held = ExitStack()
    while True:
        try:
            held.enter_context(hold_lock(path))
            return held
        except LockHeld:
            if asyncio.get_running_loop().time() > deadline:
                raise
        await while_held()
        await asyncio.sleep(LOCK_POLL_SECONDS)
