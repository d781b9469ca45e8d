"""Ended batches move to archives, every event stays readable at every moment, and a crash never costs one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import msgspec
import pytest

from tests.integration.results.stage import Story
from tests.support.events import NOON, SAMPLES
from vbatch.chassis.blobs import Blobs, BlobWriter, open_blobs
from vbatch.contracts import codec, events as e
from vbatch.contracts.ids import BatchId
from vbatch.contracts.message import Message, Recorded
from vbatch.contracts.subjects import ALL_EVENTS, BATCHES_ARCHIVED, batch_events, chunks_of
from vbatch.journal.archive import HistoricLog
from vbatch.journal.memory import MemoryJournal
from vbatch.journal.port import MESSAGE_SIZE_HEADER, Conflict, Lease, Unavailable
from vbatch.journal.quarantine import ENDS_MAX, ForgottenNotes, QuarantineMeans
from vbatch.journal.settings import JournalSettings
from vbatch.journal.single_writer import SingleWriter
from vbatch.results.core.archive import Archive, ArchiveQueue
from vbatch.results.core.projection import Changes, State, project
from vbatch.results.flows.archive_files import ArchiveFiles
from vbatch.results.flows.archiving import ArchiveMeans, Archiver
from vbatch.results.flows.sealing import SOURCE
from vbatch.results.flows.serving import lease

GRACE_SECONDS = 3600.0
FIRST, SECOND = Story(1, total=60), Story(2, total=30)
SETTINGS = JournalSettings(url="nats://nowhere", name="test", log_bytes_max=64 << 20)


class Crash(Exception):
    """The process ended here."""


@dataclass
class Steps:
    """Counts the steps that touch the log or the blob store; ends the process before step `fatal`."""

    fatal: int | None = None
    taken: int = 0

    def take(self) -> None:
        self.taken += 1
        if self.taken == self.fatal:
            raise Crash


class SteppedLog:
    """The log and its purge, each call of which is a step."""

    def __init__(self, stage: Stage) -> None:
        self._log, self._steps = stage.journal.log, stage.steps

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._log, name)
        if name == "tail":
            self._steps.take()
            return found

        async def call(*args: Any) -> Any:
            self._steps.take()
            answer = await found(*args)
            self._steps.take()
            return answer

        return call


class SteppedBlobs:
    def __init__(self, stage: Stage) -> None:
        self._blobs, self._steps = stage.blobs, stage.steps

    @asynccontextmanager
    async def writer(self, name: str) -> AsyncIterator[BlobWriter]:
        self._steps.take()
        async with self._blobs.writer(name) as writer:
            yield writer
            self._steps.take()
        self._steps.take()

    def __getattr__(self, name: str) -> Any:
        self._steps.take()
        return getattr(self._blobs, name)


async def lease_of(journal: MemoryJournal, pid: int = 1) -> Lease:
    """The lease of a results process that has just started."""
    writer = SingleWriter(journal, SOURCE)
    await writer.take_lease(lease(pid, NOON))
    return writer.lease


@dataclass
class Stage:
    journal: MemoryJournal
    blobs: Blobs
    lease: Lease
    now: datetime = NOON
    steps: Steps = field(default_factory=Steps)
    told: list[Recorded] = field(default_factory=list)
    gone: dict[BatchId, set[str]] = field(default_factory=dict)
    notes: ForgottenNotes = field(default_factory=ForgottenNotes)

    @property
    def history(self) -> HistoricLog:
        return HistoricLog(self.journal.log, self.blobs)

    def archiver(self) -> Archiver:
        log: Any = SteppedLog(self)
        blobs: Any = SteppedBlobs(self)
        history = HistoricLog(log, blobs)
        means = ArchiveMeans(log, history, log, self.journal.dead, blobs, 1.0, GRACE_SECONDS)
        stepped: Any = SimpleNamespace(log=log, dead=self.journal.dead)
        writer = SingleWriter(stepped, SOURCE, QuarantineMeans(self.notes))
        writer._lease = self.lease
        return Archiver(means, writer, now=lambda: self.now, gone=self._gone)

    async def _gone(self) -> dict[BatchId, set[str]]:
        return self.gone

    async def tell(self, events: Iterable[e.AnyEvent]) -> None:
        for event in events:
            await self.journal.log.append(codec.encode(event, source="test"))

    async def tell_whole(self, *stories: Story) -> None:
        """The stories one after the other in each part, so that their events lie between each other."""
        for part in ("opening", "chunks"):
            for story in stories:
                await self.tell(getattr(story, part)())
        for story in stories:
            await self.tell([story.finalizing(), story.sealed()])
        self.told = [r for r in self.journal._log_stream.records if r.subject.startswith("evt.batch.")]

    async def archive(self, *, after: float = GRACE_SECONDS) -> None:
        self.now += timedelta(seconds=after)
        await self.archiver().round()

    async def archives(self) -> list[e.BatchArchived]:
        records = await read(self.journal.log, (BATCHES_ARCHIVED,))
        return [event for record in records if isinstance(event := codec.decode(record), e.BatchArchived)]


@pytest.fixture
async def stage(tmp_path: Path) -> Stage:
    journal = MemoryJournal(SETTINGS, lambda: NOON)
    return Stage(journal, open_blobs(tmp_path.as_uri()), await lease_of(journal))


async def read(
    log: Any, subjects: Sequence[str] = (ALL_EVENTS,), after: int = 0, *, headers_only: bool = False
) -> list[Recorded]:
    """Everything on the subjects up to the newest event there is."""
    newest = [record.sequence for subject in subjects if (record := await log.last(subject)) is not None]
    found: list[Recorded] = []
    if max(newest, default=0) <= after:
        return found
    async with asyncio.timeout(10), log.tail(after, subjects, headers_only=headers_only) as tail:
        while not found or found[-1].sequence < max(newest):
            found += await anext(tail)
    return found


async def must_be_whole(stage: Stage) -> None:
    """The checker: the history still holds every event that was ever told, in order, as it was."""
    whole = await read(stage.history)
    assert [each for each in whole if each.subject.startswith("evt.batch.") and "archived" not in each.subject] == (
        stage.told
    )


async def chunks_in_stream(stage: Stage) -> int:
    newest = await stage.journal.log.last("evt.batch.*.chunk_completed")
    return 0 if newest is None else len(await read(stage.journal.log, ("evt.batch.*.chunk_completed",)))


async def test_an_ended_batch_moves_to_its_archive_after_the_grace(stage: Stage):
    await stage.tell_whole(FIRST, SECOND)
    await stage.archive(after=GRACE_SECONDS - 1)
    assert await stage.archives() == []
    await stage.archive(after=1)
    first, second = await stage.archives()
    assert (first.batch_id, second.batch_id) == (FIRST.batch_id, SECOND.batch_id)
    assert first.outcome_count == 2 * FIRST.total
    assert first.bytes == await stage.blobs.size(first.blob)
    assert await chunks_in_stream(stage) == 0
    await must_be_whole(stage)


async def test_a_log_that_is_half_full_is_archived_without_waiting(stage: Stage):
    await stage.tell_whole(FIRST)
    used = (await stage.journal.log.fill()).bytes
    stage.journal._log_stream._bytes_max = 2 * used
    await stage.archive(after=0)
    assert len(await stage.archives()) == 1


async def test_a_batch_that_runs_stays_in_the_log(stage: Stage):
    await stage.tell([*FIRST.opening(), *FIRST.chunks(), FIRST.finalizing()])
    await stage.archive()
    assert await stage.archives() == []


async def test_the_archive_is_read_without_a_server(stage: Stage):
    await stage.tell_whole(FIRST, SECOND)
    await stage.archive()
    place = (await stage.archives())[0]
    records = [record async for part in ArchiveFiles(stage.blobs).records(place.blob) for record in part]
    assert records == [record for record in stage.told if record.subject.split(".")[2] == FIRST.batch_id]


@pytest.mark.parametrize("after_share", [0.0, 0.3, 0.7, 1.0])
async def test_a_reader_begins_anywhere_in_the_one_history(stage: Stage, after_share: float):
    await stage.tell_whole(FIRST, SECOND)
    await stage.archive()
    after = int(len(stage.told) * after_share)
    subjects = (batch_events(FIRST.batch_id),)
    found = await read(stage.history, subjects, after)
    mine = [each for each in stage.told if FIRST.batch_id in each.subject and each.sequence > after]
    assert found[:-1] == mine
    assert found[-1].subject.endswith(".archived")


async def test_a_reader_of_chunks_alone_gets_them_from_the_archive(stage: Stage):
    await stage.tell_whole(FIRST, SECOND)
    await stage.archive()
    subject = chunks_of(SECOND.batch_id)
    wanted = [each for each in stage.told if each.subject == subject]
    assert await read(stage.history, (subject,)) == wanted
    assert await stage.history.last(subject) == wanted[-1]
    headers = await read(stage.history, (subject,), headers_only=True)
    assert [int(each.headers[MESSAGE_SIZE_HEADER]) for each in headers] == [len(each.body) for each in wanted]


async def test_a_reader_that_was_cancelled_while_it_waited_misses_nothing(stage: Stage):
    await stage.tell_whole(FIRST)
    await stage.archive()
    found: list[Recorded] = []
    async with stage.history.tail(0, (chunks_of(FIRST.batch_id),)) as tail:
        while len(found) < len(FIRST.chunks()):
            try:
                async with asyncio.timeout(0):
                    found += await anext(tail)
            except TimeoutError:
                await asyncio.sleep(0)
    assert found == [each for each in stage.told if each.subject == chunks_of(FIRST.batch_id)]


async def test_a_batch_that_is_archived_while_a_reader_is_on_its_way_is_not_missed(stage: Stage):
    await stage.tell_whole(FIRST, SECOND)
    async with stage.history.tail(0, (ALL_EVENTS,)) as tail:
        with patch("vbatch.journal.memory.stream.TAIL_RECORDS_MAX", 4):
            found = await anext(tail)
            await stage.archive()
            while found[-1].sequence < stage.told[-1].sequence:
                found += await anext(tail)
    assert [each for each in found if each.subject.startswith("evt.batch.")] == stage.told


async def test_a_chunk_that_comes_after_the_archive_stays_in_the_log(stage: Stage):
    await stage.tell_whole(FIRST)
    await stage.archive()
    await stage.tell([FIRST.late()])
    await stage.archive()
    assert await chunks_in_stream(stage) == 1
    assert len(await stage.archives()) == 1


async def test_a_newer_results_process_takes_over_before_anything_leaves_the_log(stage: Stage):
    await stage.tell_whole(FIRST)
    await lease_of(stage.journal, 2)
    with pytest.raises(Conflict):
        await stage.archive()
    assert await chunks_in_stream(stage) == len(FIRST.chunks())


# erasing


async def answers_in(stage: Stage, story: Story) -> dict[str, set[bytes]]:
    """The bodies of the answers of a batch, wherever a reader of the history finds them, by file."""
    found: dict[str, set[bytes]] = {"output": set(), "error": set()}
    for record in await read(stage.history, (chunks_of(story.batch_id),)):
        chunk = codec.decode(record)
        assert isinstance(chunk, e.ChunkCompleted)
        for outcome in chunk.outcomes:
            if outcome.body != e.NO_ANSWER:
                found["output" if outcome.is_success else "error"].add(bytes(outcome.body))
    return found


def is_stand_in(body: bytes) -> bool:
    return set(body) == set(b'"-')


async def rows_of(stage: Stage) -> list[Any]:
    """The rows of outcomes that the read model would have after everything."""
    state, changes = State(), Changes()
    for record in await read(stage.history):
        if record.subject.startswith("evt.batch."):
            project(state, changes, record.sequence, codec.decode(record))
    return [*changes.outcomes, {batch: row for batch, row in changes.batches.items()}]


@pytest.mark.parametrize("is_archived", [False, True])
async def test_the_answers_of_a_file_that_is_gone_leave_log_and_archive(stage: Stage, is_archived: bool):
    await stage.tell_whole(FIRST, SECOND)
    before, rows = await answers_in(stage, FIRST), await rows_of(stage)
    if is_archived:
        await stage.archive()
    stage.gone = {FIRST.batch_id: {"output"}}
    await stage.archive(after=0)
    after = await answers_in(stage, FIRST)
    assert all(map(is_stand_in, after["output"]))
    assert after["error"] == before["error"]
    assert await rows_of(stage) == rows, "lines keep their ids, counts and lengths"
    assert (await stage.archives())[-1].erased == ("output",)
    assert len(await stage.blobs.older_than(-1, "archives")) == 1 + is_archived, "the archive of before is still there"
    stage.gone = {FIRST.batch_id: {"output", "error"}}
    await stage.archive(after=0)
    assert all(is_stand_in(body) for bodies in (await answers_in(stage, FIRST)).values() for body in bodies)
    assert await rows_of(stage) == rows


@pytest.mark.parametrize(
    ("current", "superseded"),
    [
        ((9, ()), ["b.jsonl.zst", "b_7.jsonl.zst"]),
        ((9, ("error",)), ["b.jsonl.zst", "b_7.jsonl.zst", "b_9.jsonl.zst"]),
        ((12, ("output",)), ["b.jsonl.zst", "b_7.jsonl.zst", "b_9.jsonl.zst", "b_9_error_output.jsonl.zst"]),
    ],
)
def test_an_archive_is_superseded_by_what_the_log_names_later(
    current: tuple[int, tuple[str, ...]], superseded: list[str]
):
    sample = next(event for event in SAMPLES if isinstance(event, e.BatchArchived))
    last_sequence, erased = current
    event = msgspec.structs.replace(sample, batch_id=BatchId("b"), last_sequence=last_sequence, erased=erased)
    queue = ArchiveQueue()
    queue.fold(Recorded(20, "evt.batch.b.archived", {}, b"", NOON), event)
    stored = [*superseded, "b_12_output.jsonl.zst", "b_99.jsonl.zst", "other_1.jsonl.zst", "stranger"]
    assert queue.superseded([f"archives/{name}" for name in stored]) == [f"archives/{name}" for name in superseded]


async def test_an_answer_that_comes_after_the_erasure_is_erased_too(stage: Stage):
    await stage.tell_whole(FIRST)
    stage.gone = {FIRST.batch_id: {"output", "error"}}
    await stage.archive()
    await stage.tell([FIRST.late()])
    await stage.archive(after=1)
    await stage.archive(after=1)
    assert await chunks_in_stream(stage) == 0
    assert all(is_stand_in(body) for bodies in (await answers_in(stage, FIRST)).values() for body in bodies)
    assert len(await stage.blobs.older_than(-1, "archives")) == 1


async def test_an_archive_that_was_written_and_never_told_is_removed(stage: Stage):
    await stage.tell_whole(FIRST)
    with patch.object(SingleWriter, "append", side_effect=Unavailable("away")), pytest.raises(Unavailable):
        await stage.archive()
    (untold,) = await stage.blobs.older_than(-1, "archives")
    stage.gone = {FIRST.batch_id: {"output"}}
    await stage.archive(after=0)
    assert untold not in await stage.blobs.older_than(-1, "archives")


async def test_an_archive_is_erased_once(stage: Stage):
    await stage.tell_whole(FIRST)
    stage.gone = {FIRST.batch_id: {"output"}}
    for _ in range(3):
        await stage.archive()
    assert len(await stage.archives()) == 2


async def test_a_batch_that_is_unknown_or_runs_is_not_erased(stage: Stage):
    await stage.tell([*FIRST.opening(), *FIRST.chunks()])
    stage.gone = {FIRST.batch_id: {"output"}, SECOND.batch_id: {"output"}}
    await stage.archive()
    assert await stage.archives() == []


async def test_a_dead_letter_that_holds_a_chunk_goes_with_the_answers(stage: Stage):
    await stage.tell_whole(FIRST, SECOND)
    for story in (FIRST, SECOND):
        chunk = await stage.journal.log.last(chunks_of(story.batch_id))
        assert chunk is not None
        await stage.journal.dead.append(chunk, "unreadable")
    stage.gone = {FIRST.batch_id: {"output"}}
    await stage.archive()
    assert [each.original.subject for each in await stage.journal.dead.list()] == [chunks_of(SECOND.batch_id)]


async def test_a_chunk_that_nobody_can_read_keeps_nothing(stage: Stage):
    await stage.tell_whole(FIRST)
    subject = chunks_of(FIRST.batch_id)
    await stage.journal.log.append(Message(subject, b"{secret", "odd", {"ce-type": "vbatch.batch.chunk_completed.v1"}))
    stage.gone = {FIRST.batch_id: {"output"}}
    await stage.archive()
    assert b"secret" not in b"".join(record.body for record in await read(stage.history))


async def test_a_crash_at_any_step_of_an_erasure_leaves_the_rows_and_in_the_end_no_answer(tmp_path: Path):
    fatal = 0
    while True:
        fatal += 1
        journal = MemoryJournal(SETTINGS, lambda: NOON)
        blobs = open_blobs((tmp_path / str(fatal)).as_uri())
        stage = Stage(journal, blobs, await lease_of(journal))
        await stage.tell_whole(SECOND)
        rows = await rows_of(stage)
        await stage.archive()
        stage.gone, stage.steps = {SECOND.batch_id: {"output", "error"}}, Steps(fatal)
        try:
            await stage.archive()
        except Crash:
            assert await rows_of(stage) == rows
        else:
            break
        stage.steps = Steps()
        await stage.archive()
        assert await rows_of(stage) == rows
        (left,) = await stage.blobs.older_than(-1, "archives")
        records = [record async for part in ArchiveFiles(stage.blobs).records(left) for record in part]
        assert b"answer" not in b"".join(record.body for record in records)
    assert fatal > 30


async def test_a_batch_whose_archive_ends_the_service_again_and_again_stays_in_the_log(stage: Stage):
    await stage.tell_whole(FIRST, SECOND)

    async def end(archiver: Archiver, batch_id: BatchId, erased: Set[str]) -> e.BatchArchived:
        if batch_id == FIRST.batch_id:
            raise ValueError("a bug")
        return await _stored(archiver, batch_id, erased)

    with patch.object(Archiver, "_stored", end):
        for _ in range(ENDS_MAX):
            with pytest.raises(ValueError, match="a bug"):
                await stage.archive()
        await stage.archive()
    assert [each.batch_id for each in await stage.archives()] == [SECOND.batch_id]
    await must_be_whole(stage)


async def crashed_everywhere(tmp_path: Path) -> int:
    """End the process before each step in turn, check, start it again, check; return how many steps there were."""
    fatal = 0
    while True:
        fatal += 1
        journal = MemoryJournal(SETTINGS, lambda: NOON)
        blobs = open_blobs((tmp_path / str(fatal)).as_uri())
        stage = Stage(journal, blobs, await lease_of(journal))
        await stage.tell_whole(FIRST, SECOND)
        stage.steps = Steps(fatal)
        try:
            await stage.archive()
        except Crash:
            await must_be_whole(stage)
        else:
            return fatal - 1
        stage.steps = Steps()
        await stage.archive()
        await must_be_whole(stage)
        assert await chunks_in_stream(stage) == 0, "what a crash left in the log stays there"
        assert [each.batch_id for each in await stage.archives()] == [FIRST.batch_id, SECOND.batch_id]


async def test_a_crash_between_any_two_steps_costs_no_event(tmp_path: Path):
    assert await crashed_everywhere(tmp_path) > 50


# planted bugs: the checks above must catch each of them

_stored = Archiver._stored
_write = ArchiveFiles.write


async def _purge_first(archiver: Archiver, batch_id: BatchId, erased: Set[str]) -> e.BatchArchived:
    """Purge before the archive is durable."""
    newest = await archiver._means.log.last(batch_events(batch_id))
    event = _stored(archiver, batch_id, erased)
    await archiver._means.purge.purge(chunks_of(batch_id), newest.sequence if newest else 0)
    return await event


async def _write_without_last_chunk(files: ArchiveFiles, blob: str, head: Any, records: Any) -> Archive:
    async def cut() -> AsyncIterator[Sequence[Recorded]]:
        kept = [record async for part in records for record in part]
        last = max(record.sequence for record in kept if record.subject.endswith("chunk_completed"))
        yield [record for record in kept if record.sequence != last]

    return await _write(files, blob, head, cut())


async def test_a_purge_before_the_archive_is_durable_is_caught(tmp_path: Path):
    with patch.object(Archiver, "_stored", _purge_first), pytest.raises((AssertionError, TimeoutError)):
        await crashed_everywhere(tmp_path)


async def test_an_archive_without_the_last_chunk_is_caught_before_anything_leaves_the_log(stage: Stage):
    await stage.tell_whole(FIRST)
    with patch.object(ArchiveFiles, "write", _write_without_last_chunk):
        await stage.archive()
    assert await stage.archives() == []
    await must_be_whole(stage)


async def test_an_archive_that_the_store_changed_is_caught_before_anything_leaves_the_log(stage: Stage):
    await stage.tell_whole(FIRST)

    async def write_then_damage(files: ArchiveFiles, blob: str, head: Any, records: Any) -> Archive:
        written = await _write(files, blob, head, records)
        async with stage.blobs.writer(blob) as writer:
            await writer.write(b"")
        return written

    with patch.object(ArchiveFiles, "write", write_then_damage), pytest.raises(Unavailable):
        await stage.archive()
    await must_be_whole(stage)
    assert await chunks_in_stream(stage) == len(FIRST.chunks())
