"""The services of one simulated machine: the real flows on simulated ports, started, killed, paused and restarted."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

from tests.simulation.archives import check_archived
from tests.simulation.checks import Reading, Violation, check_status
from tests.simulation.engine import Answers, SimulatedLauncher
from tests.simulation.journal import SimulatedJournal
from tests.simulation.loop import Lane, SimulatedLoop
from tests.simulation.stores import (
    BlobStore,
    PartialStore,
    SimulatedBlobs,
    Tables,
    TwinPartials,
    TwinReadModel,
    UniqueViolation,
)
from tests.simulation.weather import Weather
from vbatch.chassis.blobs import BlobMissing, BlobTrouble
from vbatch.chassis.files import LockHeld
from vbatch.chassis.process import Stop
from vbatch.contracts.ids import RunnerId
from vbatch.contracts.message import Recorded
from vbatch.contracts.orders import CancelBatch, LoadModel, PauseBatch, decode_order
from vbatch.gpu_runner.adapters.blobs import BlobFiles
from vbatch.gpu_runner.core.command import Device, DeviceKind
from vbatch.gpu_runner.core.limits import Limits as RunnerLimits
from vbatch.gpu_runner.flows import runner as running
from vbatch.journal.archive import HistoricJournal, HistoricLog
from vbatch.journal.memory import MemoryJournal
from vbatch.journal.port import Fenced, Full, Rejected, Unavailable
from vbatch.journal.quarantine import Cause, ForgottenNotes, QuarantineMeans
from vbatch.results.core.projection import Changes
from vbatch.results.flows import serving
from vbatch.results.flows.archiving import ArchiveMeans
from vbatch.results.flows.sweeping import SweepTimes
from vbatch.results.ports import CheckpointMoved
from vbatch.scheduler.core.decide import PlanResult
from vbatch.scheduler.core.planning.validation import FileCheck, FileRules
from vbatch.scheduler.core.policy.density import DensityPolicy
from vbatch.scheduler.core.policy.policy import Policy, stay_then_oldest
from vbatch.scheduler.flows.planning import Limits as PlanLimits
from vbatch.scheduler.flows.scheduling import Scheduler
from vbatch.scheduler.ports import InputMissing, PlanningTrouble

SERVICES = ("scheduler", "gpu-runner", "results")
POLICIES: tuple[Policy, ...] = (DensityPolicy(), DensityPolicy(), stay_then_oldest)
SECOND_RUNNER = "gpu-runner-2"
"""Some machines have two devices."""
RUNNER_IDS = {"gpu-runner": RunnerId("gpu0"), SECOND_RUNNER: RunnerId("gpu1")}
RUNNER_LIMITS = RunnerLimits(
    silence_seconds_max=2.0,
    probe_seconds=0.5,
    model_wait_seconds=1.0,
    busy_pause_seconds_max=0.5,
    outbox_messages_max=4,
)
SWEEP_TIMES = SweepTimes(every_seconds=1.0, grace_seconds=60.0)
ARCHIVE_GRACE_SECONDS = 1.5
"""Short, so that batches move to archives while others run and the weather is bad."""
WAYS_TO_END = (
    Fenced, Unavailable, Full, CheckpointMoved, LockHeld, BlobTrouble, asyncio.CancelledError, TimeoutError,
)  # fmt: skip
"""The errors that may end a process: it was fenced, or met a fault that its restart heals. All others are bugs."""


class SimulatedPlanner:
    def __init__(self, blobs: SimulatedBlobs, weather: Weather) -> None:
        self._blobs = blobs
        self._weather = weather

    async def plan(self, blob: str, file_bytes: int, rules: FileRules) -> PlanResult:
        if self._weather.strikes(self._weather.planning_trouble):
            raise PlanningTrouble("the simulated worker died")
        check, content = FileCheck(rules), b""
        try:
            async for block in self._blobs.read_stream(blob):
                content += block
                check.feed(block)
        except BlobMissing as error:
            raise InputMissing(str(error)) from error
        except BlobTrouble as error:
            raise PlanningTrouble(str(error)) from error
        return check.result(lambda refs: [content[ref.offset : ref.offset + ref.length] for ref in refs])

    def keep_only(self, blobs: Set[str]) -> None:
        """Nothing is kept on disk."""


@dataclass
class Life:
    """One process from its start to its end."""

    service: str
    lane: Lane
    pid: int
    stop: Stop
    runner: running.Runner | None = None
    task: asyncio.Task[None] | None = None


@dataclass
class Machine:
    """Everything that runs, and everything that outlives it. A violation found on the way is kept in `violation`."""

    loop: SimulatedLoop
    weather: Weather
    journal: MemoryJournal
    folder: Path
    now: Callable[[], datetime]
    reading: Reading
    tell: Callable[[str], None]
    policy: Policy = stay_then_oldest
    tables: Tables = field(default_factory=Tables)
    partials: PartialStore = field(default_factory=dict)
    blobs: BlobStore = field(default_factory=dict)
    answers: Answers = field(default_factory=Answers)
    current: dict[str, Life] = field(default_factory=dict)
    zombies: list[Life] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    violation: Violation | None = None
    pid: int = 0
    notes: dict[str, ForgottenNotes] = field(default_factory=lambda: defaultdict(ForgottenNotes))
    """Notes of where each service ended; they outlive it."""
    retired: list[str] = field(default_factory=list)
    watchers: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self, service: str) -> None:
        lane, context = self.loop.open_lane(service)
        self.pid += 1
        life = self.current[service] = Life(service, lane, self.pid, Stop())
        self.tell(f"{service} starts as {life.pid}")
        mains = {"scheduler": self._scheduler, "results": self._results}
        life.task = self.loop.create_task(mains.get(service, self._runner)(life), context=context)
        self.watchers.append(self.loop.create_task(self._watch(life)))

    def kill(self, life: Life) -> None:
        self._count("killed", life)
        self.loop.kill(life.lane)

    def pause(self, life: Life, seconds: float) -> None:
        """Pause it as SIGSTOP does; the machine continues it later."""
        self._count("paused", life)
        life.lane.is_paused = True
        self.loop.call_later(seconds, self._go_on, life)

    def replace(self, life: Life, seconds: float) -> None:
        """Pause it, take it for dead and start another beside it: when it continues, it is a zombie."""
        self._count("zombies", life)
        life.lane.is_paused = True
        self.zombies.append(life)
        self.loop.call_later(seconds, self._go_on, life)
        self.start(life.service)

    def retire(self, service: str) -> None:
        """Stop it permanently."""
        self.retired.append(service)
        self.loop.kill(self.current[service].lane)

    def clear_up(self) -> None:
        self.weather.clear_up()
        for life in (*self.zombies, *self.current.values()):
            self._go_on(life)

    def end_zombies(self) -> None:
        """Stop the zombies: one that has nothing to write never learns that it is one."""
        for life in self.zombies:
            self.loop.kill(life.lane)

    def break_promise(self, violation: Violation) -> None:
        self.violation = self.violation or violation
        self.tell(f"VIOLATION {violation}")

    def _go_on(self, life: Life) -> None:
        if life.lane.is_paused:
            self.tell(f"{life.service} {life.pid} goes on")
        life.lane.is_paused = False

    def _count(self, what: str, life: Life) -> None:
        self.tell(f"{life.service} {life.pid} is {what}")
        key = f"{what}:{life.service}"
        self.counts[key] = self.counts.get(key, 0) + 1

    async def _watch(self, life: Life) -> None:
        """Act as the supervisor: whatever ended, the service starts again."""
        assert life.task is not None
        await asyncio.wait([life.task])
        error = None if life.task.cancelled() else life.task.exception()
        self.tell(f"{life.service} {life.pid} ended: {error!r}")
        if error is not None and not life.lane.is_dead:
            self._must_be_no_bug(life, error)
        self.loop.kill(life.lane)
        if self.current.get(life.service) is life:
            await asyncio.sleep(self.weather.random.random() * 2)
            if life.service not in self.retired:
                self.start(life.service)

    def _must_be_no_bug(self, life: Life, error: BaseException) -> None:
        self.counts[f"ended:{life.service}"] = self.counts.get(f"ended:{life.service}", 0) + 1
        for leaf in _leaves(error):
            if isinstance(leaf, Violation):
                self.break_promise(leaf)
            elif isinstance(leaf, Rejected):
                self.break_promise(Violation("no_text_ends_a_service", f"{life.service}: {leaf}"))
            elif isinstance(leaf, UniqueViolation) or not isinstance(leaf, WAYS_TO_END):
                self.break_promise(Violation("no_process_ends_on_a_bug", f"{life.service}: {leaf!r}"))

    # the parts of the processes

    def _journal(self, lane: Lane) -> SimulatedJournal:
        return SimulatedJournal(self.journal, lane, self.weather, self.on_ack, self._on_purge)

    def _blobs(self, lane: Lane) -> SimulatedBlobs:
        return SimulatedBlobs(self.blobs, lane, self.weather)

    def _means(self, life: Life) -> QuarantineMeans:
        def count(cause: Cause, place: str, reason: str) -> None:
            self.tell(f"{life.service} sets {place} aside: {reason}")
            key = f"{cause}:{life.service}"
            self.counts[key] = self.counts.get(key, 0) + 1

        return QuarantineMeans(self.notes[life.service], count)

    async def _scheduler(self, life: Life) -> None:
        planner = SimulatedPlanner(self._blobs(life.lane), self.weather)
        means = self._means(life)
        scheduler = Scheduler(
            self._journal(life.lane), planner, self.policy, self.now, life.pid, PlanLimits(), means=means
        )
        await scheduler.run(life.stop)

    async def _runner(self, life: Life) -> None:
        files = BlobFiles(self._blobs(life.lane))
        launcher = SimulatedLauncher(self.weather, self.answers, partial(self._on_ask, life))
        dependencies = running.Dependencies(
            journal=self._journal(life.lane),
            launcher=launcher,
            input_files=files,
            answer_files=files,
            device=Device(DeviceKind.CPU, "simulated", 1 << 30),
            now=self.now,
            means=self._means(life),
        )
        life.runner = running.Runner(RUNNER_IDS[life.service], life.pid, dependencies, RUNNER_LIMITS)
        await life.runner.run(life.stop)

    async def _results(self, life: Life) -> None:
        journal, blobs = self._journal(life.lane), self._blobs(life.lane)
        world = serving.Dependencies(
            journal=HistoricJournal(journal, blobs),
            read_model=TwinReadModel(self.tables, life.lane, self.weather, self._on_commit),
            partials=TwinPartials(self.partials, self.weather),
            blobs=blobs,
            folder=self.folder,
            pid=life.pid,
            now=self.now,
            on_committed=lambda committed: None,
            on_sealed=lambda event, size: None,
            on_dead_letters=lambda count: None,
            sweep_times=SWEEP_TIMES,
            means=self._means(life),
            archive=ArchiveMeans(
                log=journal.log,
                history=HistoricLog(journal.log, blobs),
                purge=journal.log,
                dead=journal.dead,
                blobs=blobs,
                every_seconds=SWEEP_TIMES.every_seconds,
                grace_seconds=ARCHIVE_GRACE_SECONDS,
            ),
        )
        await serving.serve(world, serving.Progress())

    # observations while it runs

    def _on_commit(self, tables: Tables, changes: Changes) -> None:
        for row in changes.batches.values():
            before = tables.batches.get(row.id)
            try:
                check_status(before.status if before else None, row.status)
            except Violation as violation:
                self.break_promise(violation)

    def _on_ask(self, life: Life, custom_id: str) -> None:
        """Check that a runner with the newest lease never sends a request that the log already answers."""
        self._read_on()
        assert life.runner is not None
        if life.runner.epoch < self.reading.runner_epochs[life.runner.runner_id]:
            return
        number, _, line = custom_id.split("-")
        story = next(
            batch for batch in self.reading.batches.values() if self._number_of(batch.created.input_file_id) == number
        )
        if int(line) in story.answered:
            self.break_promise(Violation("an_answered_request_is_never_asked_again", custom_id))

    def _number_of(self, file_id: str) -> str:
        return self.reading.files[file_id].blob.removeprefix("files/")

    def on_ack(self, lane: Lane, order: Recorded, *, is_first: bool) -> None:
        """Check that a slice is settled only when all its lines are in the log: answered or returned."""
        wanted = decode_order(order.body)
        life = next((running for running in (*self.current.values(), *self.zombies) if running.lane is lane), None)
        if (
            isinstance(wanted, CancelBatch | LoadModel | PauseBatch)
            or not is_first
            or life is None
            or life.runner is None
        ):
            return
        self._read_on()
        left = {request.line for request in wanted.requests} - self.reading.accounted.get(wanted.slice_id, set())
        if wanted.epoch == life.runner.epoch and left:
            self.break_promise(Violation("settled_after_stored", f"{wanted.slice_id} settled without {sorted(left)}"))

    def _on_purge(self, subject: str, through: int) -> None:
        """Check that what is about to leave the log is in its archive."""
        stream = self.journal._log_stream  # the simulation stands behind the store
        leaving = [record for record in stream.after(0, [subject]) if record.sequence <= through]
        try:
            check_archived(stream.records, leaving, self.blobs)
        except Violation as violation:
            self.break_promise(violation)
        self.counts["purged"] = self.counts.get("purged", 0) + len(leaving)

    def _read_on(self) -> None:
        try:
            self.reading.advance()
        except Violation as violation:
            self.break_promise(violation)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error
