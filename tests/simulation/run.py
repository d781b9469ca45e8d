"""One seed: a machine, its clients, a nemesis while the weather is bad, then calm weather until all has ended."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from pathlib import Path
from random import Random

import structlog

from tests.simulation.administrator import Administrator
from tests.simulation.archives import ERASED, KINDS, check_archived, check_erased, has_left, newest_archives
from tests.simulation.checks import ENDED, Reading, Stores, Violation, check_answers, check_equal, check_files
from tests.simulation.client import MODELS, Client, Wish, wishes
from tests.simulation.journal import SimulatedJournal
from tests.simulation.loop import LANE, Lane, SimulatedLoop, Stuck
from tests.simulation.nemesis import meet_cancel, rage
from tests.simulation.patching import all_replaced
from tests.simulation.processes import POLICIES, RUNNER_IDS, SECOND_RUNNER, SERVICES, Machine
from tests.simulation.restoring import Backup, back_up
from tests.simulation.stores import SimulatedBlobs, Tables, TwinPartials, TwinReadModel
from tests.simulation.weather import Weather
from vbatch.contracts import codec, events as e
from vbatch.contracts.ids import BatchId, RunnerId, output_file_id
from vbatch.contracts.models import EngineKind, ModelDefinition
from vbatch.gpu_runner.core import chunks
from vbatch.gpu_runner.flows import engine_session
from vbatch.journal.archive import HistoricJournal, HistoricLog
from vbatch.journal.memory import MemoryJournal, stream as memory_stream
from vbatch.journal.quarantine import QuarantineMeans
from vbatch.journal.rules import matches
from vbatch.journal.settings import JournalSettings
from vbatch.journal.single_writer import SingleWriter
from vbatch.results.flows.answer_sweeping import AnswerSweep
from vbatch.results.flows.output_sweeping import gone_outputs
from vbatch.results.flows.projecting import Projector
from vbatch.scheduler.core import decide
from vbatch.scheduler.flows import history

BEGIN = datetime(2030, 1, 1, tzinfo=UTC)
STORM_SECONDS = 8.0
CALM_SECONDS_MAX = 400.0
"""In calm weather all work must end by then, poison requests included."""
CATCH_UP_SECONDS_MAX = 60.0
ARCHIVED_SECONDS_MAX = 30.0
ERASED_SECONDS_MAX = 120.0
"""Above the grace after which the bytes of a deleted file are removed."""
POLL_SECONDS = 0.1
BACKUP_SHARE = 0.25
BACKUP_AFTER_SECONDS_MAX = 8.0
ORDERS_MAX = 16
SETTINGS = JournalSettings("nats://simulated", "simulation", work_in_flight_max=ORDERS_MAX)
MEMORY_FOLDER = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""For the only real file: the lock of the results folder."""


@dataclass
class Result:
    """The result of one seed. `digest` covers the whole log: the same seed gives the same one."""

    seed: int
    violation: Violation | None = None
    steps: int = 0
    seconds: float = 0.0
    events: int = 0
    digest: str = ""
    batches: int = 0
    redone: int = 0
    asked: int = 0
    engine_crashes: int = 0
    lines: int = 0
    restored: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    diary: list[str] = field(default_factory=list)


def run_seed(seed: int, *, is_verbose: bool = False) -> Result:
    """Run one seed; it does the same, whatever ran before it."""
    was_collecting = gc.isenabled()
    gc.disable()  # a collection at an odd moment would finish abandoned generators at an odd step
    try:
        return _Run(seed, is_verbose).result()
    finally:
        if was_collecting:
            gc.enable()


class _Run:
    def __init__(self, seed: int, is_verbose: bool) -> None:
        self._random = Random(seed)
        self._result = Result(seed)
        self._is_verbose = is_verbose
        self._loop = SimulatedLoop(Random(seed + 1))
        self._backup: asyncio.Task[Backup] | None = None

    def result(self) -> Result:
        with (
            tempfile.TemporaryDirectory(prefix="vb-sim-", dir=MEMORY_FOLDER) as folder,
            _small_limits(),
            _service_logs(self._tell if self._is_verbose else None),
        ):
            try:
                self._loop.run_until_complete(self._live(Path(folder)))
            except Violation as violation:
                self._result.violation = violation
            except Stuck as stuck:
                self._result.violation = Violation("every_batch_ends", str(stuck))
            finally:
                self._result.steps, self._result.seconds = self._loop.steps, self._loop.time()
                self._loop.end()
        return self._result

    def _now(self) -> datetime:
        return BEGIN + timedelta(seconds=self._loop.time())

    def _tell(self, text: str) -> None:
        if self._is_verbose:
            self._result.diary.append(f"{self._loop.time():10.4f}  {text}")

    async def _live(self, folder: Path) -> None:
        journal, weather = MemoryJournal(SETTINGS, self._now), Weather(self._random)
        reading = Reading(journal._log_stream.records)  # the simulation stands behind the store
        machine = Machine(self._loop, weather, journal, folder, self._now, reading, self._tell)
        machine.policy = self._random.choice(POLICIES)
        gateway = SimulatedJournal(journal, Lane("gateway"), weather, machine.on_ack)
        client = Client(gateway.log, machine.blobs, reading, self._random, self._now, partial(meet_cancel, machine))
        try:
            asked = await self._play(machine, client)
            await self._settle(machine)
            await self._judge(machine, client, asked)
            if self._backup is not None:
                await self._restore(machine, await self._backup, folder / "elsewhere", asked)
        finally:
            self._sum_up(machine)

    async def _play(self, machine: Machine, client: Client) -> list[Wish]:
        for model in MODELS:
            definition = ModelDefinition(id=model, engine=EngineKind.SIMULATED)
            await client.say(e.ModelRegistered(model=definition, at=self._now()))
        for service in (*SERVICES, SECOND_RUNNER) if self._random.random() < 0.3 else SERVICES:
            machine.start(service)
        asked = wishes(self._random)
        wanting = [asyncio.create_task(client.want(wish)) for wish in asked]
        deleting = [asyncio.create_task(client.delete_outputs(wish)) for wish in asked]
        if self._random.random() < BACKUP_SHARE:
            self._backup = asyncio.create_task(self._back_up(machine))
        raging = asyncio.create_task(rage(machine))
        steering = asyncio.create_task(self._administrator(machine, client).steer())
        await self._until(machine, lambda: _all_ended(machine, asked), seconds_max=STORM_SECONDS)
        raging.cancel()
        machine.clear_up()
        self._tell("the weather clears up")
        if not await self._until(machine, lambda: _all_ended(machine, asked), seconds_max=CALM_SECONDS_MAX):
            raise Violation("every_batch_ends", _open_ones(machine, asked))
        for each in wanting:
            each.cancel()
        await asyncio.gather(*deleting, steering)
        return asked

    def _administrator(self, machine: Machine, client: Client) -> Administrator:
        runner_ids = tuple(runner_id for service, runner_id in RUNNER_IDS.items() if service in machine.current)
        return Administrator(runner_ids, Random(self._result.seed + 2), self._now, client.say)

    async def _back_up(self, machine: Machine) -> Backup:
        await asyncio.sleep(self._random.random() * BACKUP_AFTER_SECONDS_MAX)
        return await back_up(machine)

    async def _restore(self, lost: Machine, backup: Backup, folder: Path, asked: list[Wish]) -> None:
        """Another machine continues from the backup: batches end, and no answer in the backup is asked for again."""
        self._tell(f"a backup of {len(backup.records)} events is restored")
        journal = backup.restored(SETTINGS, self._now)
        machine = Machine(
            self._loop,
            Weather(self._random, is_calm=True),
            journal,
            folder,
            self._now,
            Reading(journal._log_stream.records),
            self._tell,
            blobs=dict(backup.blobs),
            answers=lost.answers,
        )
        machine.reading.advance()
        known = [wish for wish in asked if wish.batch_id in machine.reading.batches]
        for batch_id in [batch_id for batch_id, story in machine.reading.batches.items() if story.is_paused]:
            event = e.BatchResumed(batch_id=BatchId(batch_id), at=self._now())  # who paused it continues elsewhere
            await journal.log.append(codec.encode(event, source="gateway"))
        for runner_id in list(machine.reading.drained):
            resumed = e.RunnerResumed(runner_id=RunnerId(runner_id), by="local", at=self._now())
            await journal.log.append(codec.encode(resumed, source="gateway"))
        for service in SERVICES:
            machine.start(service)
        if not await self._until(machine, lambda: _all_ended(machine, known), seconds_max=CALM_SECONDS_MAX):
            raise Violation("every_batch_ends", f"after a restore: {_open_ones(machine, known)}")
        await self._settle(machine)
        self._result.restored += 1
        machine.reading.advance()
        stores = Stores(machine.tables, machine.partials, machine.blobs)
        for wish in known:
            self._judge_batch(machine, stores, wish)
        check_equal(stores, await self._rebuilt(machine))

    async def _settle(self, machine: Machine) -> None:
        """Stop everything but results, which archives, erases, reads the log to its end and then stops too."""
        machine.end_zombies()
        for service in [name for name in machine.current if name != "results"]:
            machine.retire(service)
        if not await self._until(machine, lambda: _all_left(machine), seconds_max=ARCHIVED_SECONDS_MAX):
            raise Violation("every_ended_batch_is_archived", "it still waits")
        if not await self._until(machine, lambda: _no_bytes_of(machine), seconds_max=ERASED_SECONDS_MAX):
            raise Violation(ERASED, "the bytes of a deleted file are still there")
        is_read = await self._until(
            machine, lambda: machine.tables.sequence == len(machine.reading.records), seconds_max=CATCH_UP_SECONDS_MAX
        )
        if not is_read:
            raise Violation("every_batch_ends", "the projection does not reach the end of the log")
        machine.retire("results")

    async def _until(self, machine: Machine, is_so: Callable[[], bool], *, seconds_max: float) -> bool:
        """Return whether it became so in time. Raises the first violation seen."""
        deadline = self._loop.time() + seconds_max
        while not is_so():
            if machine.violation is not None:
                raise machine.violation
            if self._loop.time() > deadline:
                return False
            await asyncio.sleep(POLL_SECONDS)
        return True

    async def _judge(self, machine: Machine, client: Client, asked: list[Wish]) -> None:
        machine.reading.advance()
        if machine.violation is not None:
            raise machine.violation
        records = machine.reading.records
        for sequence, message_id in client.acknowledged.items():
            if sequence > len(records) or records[sequence - 1].message_id != message_id:
                raise Violation("acknowledged_is_kept", f"{message_id} is not at {sequence}")
        stores = Stores(machine.tables, machine.partials, machine.blobs)
        for wish in asked:
            self._judge_batch(machine, stores, wish)
        check_equal(stores, await self._rebuilt(machine))
        await self._sweep_answers(machine)
        check_answers(machine.reading, machine.blobs)
        await self._judge_archives(machine, stores, [wish for wish in asked if _is_erased(wish, machine)])

    async def _judge_archives(self, machine: Machine, stores: Stores, erased: list[Wish]) -> None:
        stream = machine.journal._log_stream
        visible = [record for record in stream.records if record.sequence not in stream._purged]
        left = [record for record in stream.records if record.sequence in stream._purged]
        check_archived(stream.records, left, machine.blobs)
        said = [
            body for wish in erased for line in wish.inputs for _, body in machine.answers.said.get(line.custom_id, [])
        ]
        needles = [body.partition(b',"text"')[0] for body in said if b"#" in body]
        dead = [letter.original.body for letter in await machine.journal.dead.list(limit=ORDERS_MAX**3)]
        check_erased(machine.reading, visible, stores, needles, dead)

    def _judge_batch(self, machine: Machine, stores: Stores, wish: Wish) -> None:
        story, row = machine.reading.batches[wish.batch_id], stores.tables.batches[wish.batch_id]
        if row.status == "failed" and wish.is_fit and wish.deletes_input_after is None:
            raise Violation("files_are_whole", f"{row.id} was refused, and its file is fit")
        if story.cancel_at and story.cancel_at < story.finalized_at and row.status != "cancelled":
            raise Violation("status_moves_along_the_arcs", f"{row.id} was cancelled in time and became {row.status}")
        if row.status != "failed" and wish.deletes_outputs_after is None:
            self._result.lines += check_files(story, wish.inputs, stores, machine.answers.said)

    async def _rebuilt(self, machine: Machine) -> Stores:
        """Return the stores of a new projector that read the same log in calm weather."""
        lane, weather, last = Lane("rebuild"), Weather(Random(0), is_calm=True), len(machine.reading.records)
        stores = Stores(Tables(), {}, machine.blobs)
        blobs = SimulatedBlobs(machine.blobs, lane, weather)
        journal = HistoricJournal(SimulatedJournal(machine.journal, lane, weather, machine.on_ack), blobs)
        model, partials = (
            TwinReadModel(stores.tables, lane, weather, lambda tables, changes: None),
            TwinPartials(stores.partials, weather),
        )
        projector = Projector(
            SingleWriter(journal, "results", QuarantineMeans(machine.notes["results"])),
            read_model=model,
            partials=partials,
            blobs=blobs,
            on_committed=lambda committed: None,
        )
        projecting = asyncio.create_task(projector.run())
        await self._until(machine, lambda: stores.tables.sequence == last, seconds_max=CATCH_UP_SECONDS_MAX)
        projecting.cancel()
        async for output in gone_outputs(model, self._now()):
            partials.remove(output.batch_id)
        return stores

    async def _sweep_answers(self, machine: Machine) -> None:
        """Sweep answers as results does periodically, once more at the end."""
        lane, weather = Lane("sweep"), Weather(Random(0), is_calm=True)
        blobs = SimulatedBlobs(machine.blobs, lane, weather)
        log = HistoricLog(SimulatedJournal(machine.journal, lane, weather, machine.on_ack).log, blobs)
        await AnswerSweep(log, blobs, grace_seconds=CALM_SECONDS_MAX, now=self._now).sweep()

    def _sum_up(self, machine: Machine) -> None:
        result, asks = self._result, machine.answers.ask_counts
        result.events = len(machine.reading.records)
        result.batches = len(machine.reading.batches)
        result.asked, result.redone = sum(asks.values()), sum(count - 1 for count in asks.values())
        result.engine_crashes, result.counts = machine.answers.crash_count, machine.counts
        content = b"".join(record.subject.encode() + record.body for record in machine.reading.records)
        result.digest = hashlib.sha256(content).hexdigest()


def _all_ended(machine: Machine, asked: list[Wish]) -> bool:
    rows = machine.tables.batches
    return all(wish.batch_id in rows and rows[wish.batch_id].status in ENDED for wish in asked)


def _all_left(machine: Machine) -> bool:
    """Whether every ended batch is in its archive, without the answers of deleted files."""
    machine.reading.advance()
    newest = newest_archives(machine.reading.records)
    return all(has_left(story, newest, machine.reading.deleted) for story in machine.reading.batches.values())


def _no_bytes_of(machine: Machine) -> bool:
    """Whether the bytes of all deleted files are gone, and the growing files of their batches."""
    gone = [machine.reading.files[file_id] for file_id in machine.reading.deleted]
    return not any(file.blob in machine.blobs or file.batch_id in machine.partials for file in gone)


def _is_erased(wish: Wish, machine: Machine) -> bool:
    return any(output_file_id(wish.batch_id, kind) in machine.reading.deleted for kind in KINDS)


def _open_ones(machine: Machine, asked: list[Wish]) -> str:
    rows = machine.tables.batches
    return ", ".join(
        f"{wish.number} is {rows[wish.batch_id].status if wish.batch_id in rows else 'unknown'}"
        for wish in asked
        if wish.batch_id not in rows or rows[wish.batch_id].status not in ENDED
    )


@contextmanager
def _small_limits() -> Iterator[None]:
    """Use small limits, so that a few lines meet every border that thousands would: slices, chunks, answers in blobs, a
    grace period that ends.

    Each subject is matched only once, which saves a fifth of a seed's time.
    """
    with all_replaced(
        (decide, "SLICE_REQUESTS_MIN", 5),
        (decide, "SLICE_REQUESTS_UNKNOWN", 7),
        (decide, "CANCEL_GRACE", timedelta(seconds=0.3)),
        (chunks, "CHUNK_OUTCOMES_MAX", 3),
        (engine_session, "BODY_BYTES_MAX", 500),
        (history, "RECENT_EVENTS", 5),
        (memory_stream, "matches", lru_cache(maxsize=4096)(matches)),
    ):
        yield


@contextmanager
def _service_logs(tell: Callable[[str], None] | None) -> Iterator[None]:
    """Send the logs to the diary, or nowhere."""

    def note(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        if tell is not None:
            lane = LANE.get(None)
            tell(f"{lane.name if lane else ''}: {event.pop('event')} {event}")
        raise structlog.DropEvent

    before = structlog.get_config()
    level = logging.DEBUG if tell else logging.CRITICAL
    structlog.configure(
        processors=[note], wrapper_class=structlog.make_filtering_bound_logger(level), cache_logger_on_first_use=False
    )
    try:
        yield
    finally:
        structlog.configure(**before)
