"""A new scheduler reads little of a long past and knows as much as if it had read all of it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.support.events import NOON
from vbatch.contracts import events as e
from vbatch.contracts.codec import decode_outline, encode
from vbatch.contracts.ids import BatchId, FileId, ModelId, OwnerId, RunnerId, SliceId
from vbatch.contracts.message import Recorded
from vbatch.journal.memory import MemoryJournal
from vbatch.journal.settings import JournalSettings
from vbatch.scheduler.core.state.state import State, evolve
from vbatch.scheduler.flows import history
from vbatch.scheduler.flows.history import archived_between, fold_past, has_lost_its_answers, skeleton_subjects

LINES = 40
RUNNER = RunnerId("gpu0")
SMALL = ModelId("small")


@pytest.fixture
async def journal() -> MemoryJournal:
    return MemoryJournal(JournalSettings(url="memory://", name="test"), lambda: datetime.now(UTC))


def life(name: str, epoch: int, answered: int) -> list[e.AnyEvent]:
    """A batch that is validated and dispatched line by line; it ends when all its lines are answered."""
    batch = BatchId(f"batch_{name}")
    total = e.ModelTotal(model=SMALL, requests=LINES, input_bytes=1)
    events: list[e.AnyEvent] = [
        e.BatchCreated(
            batch_id=batch,
            owner=OwnerId("local"),
            input_file_id=FileId("file-x"),
            endpoint="/v1/x",
            completion_window="24h",
            at=NOON,
            expires_at=NOON,
        ),
        e.BatchValidated(batch_id=batch, total=LINES, last_line=LINES, models=(total,), at=NOON),
    ]
    for line in range(1, answered + 2):
        events += step(batch, line, epoch, is_answered=line <= answered)
    ended = e.BatchFinalizing(batch_id=batch, ending=e.Ending.COMPLETED, never_ran_count=0, at=NOON)
    return [*events, ended] if answered >= LINES else events


def step(batch: BatchId, line: int, epoch: int, *, is_answered: bool) -> list[e.AnyEvent]:
    if line > LINES:
        return []
    slice_id = SliceId(f"{batch}-{line}")
    sent = e.BatchDispatched(
        batch_id=batch,
        slice_id=slice_id,
        runner_id=RUNNER,
        epoch=epoch,
        model=SMALL,
        lines=(line,),
        attempt=1,
        reason="",
        at=NOON,
    )
    answer = e.ChunkCompleted(
        batch_id=batch,
        slice_id=slice_id,
        runner_id=RUNNER,
        epoch=epoch,
        chunk=1,
        model=SMALL,
        outcomes=(e.Outcome(line=line, custom_id="c", status_code=200),),
        at=NOON,
    )
    return [sent, answer] if is_answered else [sent]


async def tell(journal: MemoryJournal, *events: e.AnyEvent) -> int:
    for event in events:
        sequence = await journal.log.append(encode(event, source="test"))
    return sequence


async def long_past(journal: MemoryJournal) -> int:
    """Nine batches of the past, two that are not finished, a lease."""
    leased = e.RunnerLeased(runner_id=RUNNER, device="cpu", memory_bytes=1, pid=1, at=NOON)
    epoch = await tell(journal, leased)
    for number in range(9):
        await tell(journal, *life(f"old{number}", epoch, LINES))
    await tell(journal, *life("open1", epoch, 7), *life("old9", epoch, LINES), *life("open2", epoch, 3))
    return await tell(journal, e.SchedulerLeased(scheduler_id="main", pid=1, at=NOON))


async def fold_from(journal: MemoryJournal, state: State, start: int, until: int) -> int:
    """Everything from `start` on; how many records that were."""
    count = 0
    async with journal.log.tail(start - 1) as lists:
        async for records in lists:
            for record in records:
                evolve(state, decode_outline(record), record.sequence)
                count += 1
            if state.sequence >= until:
                return count
    raise AssertionError("the log ended")


def known(state: State) -> object:
    batches = {
        batch_id: (job.status, job.ledger.answered if job.ledger else None, job.returned, job.waiting_count)
        for batch_id, job in state.batches.items()
    }
    slices = {slice_id: sorted(it.lines) for slice_id, it in state.slices.items()}
    return batches, slices, sorted(state.runners), state.sequence


async def test_reading_little_of_the_past_leads_to_the_same_state(
    journal: MemoryJournal, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(history, "RECENT_EVENTS", 50)
    until = await long_past(journal)
    whole, brief = State(), State()
    await fold_from(journal, whole, 1, until)
    read = 0

    async def fold(record: Recorded) -> None:
        nonlocal read
        read += 1
        evolve(brief, decode_outline(record), record.sequence)

    start = await fold_past(journal.log, until, fold)
    read += await fold_from(journal, brief, start, until)
    assert known(brief) == known(whole)
    assert set(brief.batches) == {"batch_open1", "batch_open2"}
    assert read < until / 3


def test_the_skeleton_leaves_only_the_bulk_out():
    subjects = skeleton_subjects()
    assert "evt.batch.*.finalizing" in subjects and "evt.scheduler.*.lease" in subjects
    assert not any("chunk" in subject or "dispatched" in subject for subject in subjects)


async def test_dispatches_of_a_batch_whose_answers_were_archived_say_nothing_of_a_runner(journal: MemoryJournal):
    leased = e.RunnerLeased(runner_id=RUNNER, device="cpu", memory_bytes=1, pid=1, at=NOON)
    epoch = await tell(journal, leased)
    await tell(journal, *life("open1", epoch, 7), *life("old1", epoch, LINES))
    archive = e.BatchArchived(
        batch_id=BatchId("batch_old1"),
        blob="archives/old1",
        bytes=1,
        sha256="",
        first_sequence=1,
        last_sequence=1,
        event_count=1,
        outcome_count=LINES,
        at=NOON,
    )
    await tell(journal, archive)
    until = await tell(journal, e.SchedulerLeased(scheduler_id="main", pid=1, at=NOON))
    archived = await archived_between(journal.log, 1, until)
    assert archived == {"batch_old1"}
    skipped = [each for each in journal._log_stream.records if has_lost_its_answers(each, archived)]
    assert {each.subject for each in skipped} == {
        f"evt.batch.batch_old1.{event}" for event in ("dispatched", "chunk_completed")
    }
    assert await archived_between(journal.log, until, until) == frozenset()
