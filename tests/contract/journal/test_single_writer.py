"""What every single writer stands on: the lease, the fence, the caught-up gate, appends that are read back.

It runs in memory, on a real nats-server, and behind the simulation's network, which loses the answer of every append.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from tests.contract.journal.conftest import OpenJournal
from tests.support.events import NOON
from tests.support.journal import WAIT_SECONDS, event as message
from vbatch.contracts import events as e
from vbatch.contracts.ids import FileId, OwnerId
from vbatch.contracts.message import Recorded
from vbatch.journal.port import ConnectionLost, Fenced, Journal, Rejected
from vbatch.journal.quarantine import ENDS_MAX, ForgottenNotes, QuarantineMeans
from vbatch.journal.single_writer import Decider, Folding, LeaseFreshness, SingleWriter, run

pytestmark = pytest.mark.contract

SOURCE = "notifier"
WISHES_MAX = 3
POLL_SECONDS = 0.005


def lease(pid: int) -> e.NotifierLeased:
    return e.NotifierLeased(notifier_id="main", pid=pid, at=NOON)


def deleted(number: int, owner: str = "ann") -> e.FileDeleted:
    return e.FileDeleted(file_id=FileId(f"file-{number}"), owner=OwnerId(owner), at=NOON)


async def leased(journal: Journal, pid: int, means: QuarantineMeans | None = None) -> SingleWriter:
    writer = SingleWriter(journal, SOURCE, means)
    await writer.take_lease(lease(pid))
    return writer


@dataclass
class Seen:
    """A state that keeps every event with its sequence, and wants WISHES_MAX of them to be there."""

    events: list[tuple[int, e.AnyEvent]] = field(default_factory=list)
    decided_at: list[int] = field(default_factory=list)

    @property
    def files(self) -> list[str]:
        return [event.file_id for _, event in self.events if isinstance(event, e.FileDeleted)]


def evolve(seen: Seen, event: e.AnyEvent, sequence: int) -> None:
    seen.events.append((sequence, event))


def decide(seen: Seen) -> Sequence[e.Event]:
    """The next file that is not there yet, one at a time: it is decided twice if it is not read back in between."""
    seen.decided_at.append(seen.events[-1][0] if seen.events else 0)
    return [deleted(len(seen.files))] if len(seen.files) < WISHES_MAX else []


@asynccontextmanager
async def folding(writer: SingleWriter, seen: Seen, **options: object) -> AsyncIterator[None]:
    fold = Folding(writer=writer, evolve=lambda event, sequence: evolve(seen, event, sequence), **options)  # type: ignore[arg-type]  # some of its callbacks
    task = asyncio.create_task(fold.follow())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            if is_so():
                return
            await asyncio.sleep(POLL_SECONDS)


async def test_the_epoch_is_the_sequence_of_the_lease(journal: Journal):
    await journal.log.append(message("m1"))
    writer = SingleWriter(journal, SOURCE)
    assert writer.epoch == 0
    assert await writer.take_lease(lease(1)) == writer.epoch == 2


async def test_an_append_whose_answer_was_lost_is_stored_once(journal: Journal):
    writer = await leased(journal, 1)
    first = await writer.append(deleted(1))
    assert await writer.append(deleted(1)) == first
    assert await journal.log.last_sequence() == first


async def test_several_events_are_stored_together(journal: Journal):
    writer = await leased(journal, 1)
    assert await writer.append(deleted(1), deleted(2)) == writer.epoch + 2


async def test_an_older_writer_can_write_nothing_more(journal: Journal):
    older = await leased(journal, 1)
    newer = await leased(journal, 2)
    with pytest.raises(Fenced):
        await older.append(deleted(1))
    with pytest.raises(Fenced):
        await older.append(deleted(1), deleted(2))
    assert await journal.log.last_sequence() == newer.epoch


async def test_what_an_older_writer_publishes_ends_it(journal: Journal):
    older = await leased(journal, 1)
    newer = await leased(journal, 2)
    with pytest.raises(Fenced):
        async with older.publisher() as publisher:
            await publisher.publish(message("late"))
            await publisher.flush()
    assert await journal.log.last_sequence() == newer.epoch


async def test_an_older_writer_that_writes_nothing_learns_of_a_newer_one(journal: Journal):
    older = await leased(journal, 1)
    watching = asyncio.create_task(older.watch())
    await leased(journal, 2)
    async with asyncio.timeout(WAIT_SECONDS):
        with pytest.raises(ExceptionGroup) as caught:
            await watching
    assert caught.group_contains(Fenced)


async def test_the_newest_writer_is_left_alone(journal: Journal):
    await leased(journal, 1)
    newest = await leased(journal, 2)
    watching = asyncio.create_task(newest.watch())
    freshness = asyncio.create_task(LeaseFreshness(lambda: None, lambda: 0.0).keep(newest))
    await newest.append(deleted(1))
    assert not watching.done() and not freshness.done()
    watching.cancel()
    freshness.cancel()


async def test_a_connection_that_is_closed_for_good_ends_the_writer(journal: Journal):
    writer = await leased(journal, 1)
    watching = asyncio.create_task(writer.watch())
    await asyncio.sleep(0)
    journal.dead_event.set()
    with pytest.raises(ExceptionGroup) as caught:
        await watching
    assert caught.group_contains(ConnectionLost)
    journal.dead_event.clear()


async def test_nothing_counts_as_caught_up_before_the_own_lease_is_folded(journal: Journal):
    for number in range(3):
        await journal.log.append(message(f"m{number}"))
    writer, seen = SingleWriter(journal, SOURCE), Seen()
    writer.position.advance(3)
    assert not writer.position.is_caught_up
    await writer.take_lease(lease(1))
    assert not writer.position.is_caught_up
    async with folding(writer, seen), asyncio.timeout(WAIT_SECONDS):
        await writer.position.caught_up()
    assert seen.events[-1] == (writer.epoch, lease(1))


async def test_a_recorded_event_is_folded_when_the_call_returns(journal: Journal):
    writer, seen = await leased(journal, 1), Seen()
    async with folding(writer, seen):
        sequence = await writer.record(deleted(7))
        assert seen.events[-1] == (sequence, deleted(7))


async def test_what_cannot_be_read_becomes_a_dead_letter_and_the_rest_is_folded(journal: Journal):
    sequence = await journal.log.append(message("noise", b"noise"))
    writer, seen = await leased(journal, 1), Seen()
    async with folding(writer, seen):
        await writer.record(deleted(1))
    [letter] = await journal.dead.list()
    assert letter.original.sequence == sequence and seen.files == ["file-1"]


async def test_a_record_that_ends_the_process_again_and_again_is_set_aside(journal: Journal):
    means, told = QuarantineMeans(ForgottenNotes()), list[Recorded]()

    def picky(event: e.AnyEvent, _sequence: int) -> None:
        if isinstance(event, e.FileDeleted):
            raise ValueError("no rule for this")

    first = await leased(journal, 1, means)
    poison = await first.append(deleted(1))
    for _ in range(ENDS_MAX):
        with pytest.raises(ValueError, match="no rule"):
            await Folding(writer=SingleWriter(journal, SOURCE, means), evolve=picky).follow()
    last = await leased(journal, 2, means)
    fold = Folding(writer=last, evolve=picky, on_poison=lambda record, _reason: told.append(record))
    following = asyncio.create_task(fold.follow())
    async with asyncio.timeout(WAIT_SECONDS):
        await last.position.caught_up()
    following.cancel()
    [letter] = await journal.dead.list()
    assert letter.original.sequence == poison == told[0].sequence and "no rule for this" in letter.reason


async def test_a_write_that_is_refused_for_good_becomes_a_dead_letter(open_journal: OpenJournal):
    journal = await open_journal(message_bytes_max=1_000)
    writer = await leased(journal, 1)
    with pytest.raises(Rejected):
        await writer.append(deleted(1, owner="a" * 2_000))
    [letter] = await journal.dead.list()
    assert letter.sequence and letter.original.subject == "evt.file.file-1.deleted"
    assert await writer.append(deleted(2)) == writer.epoch + 1


async def test_a_service_decides_nothing_twice_and_not_before_it_has_caught_up(journal: Journal):
    await journal.log.append(message("noise", b"noise"))
    seen = Seen()
    running = asyncio.create_task(run(SingleWriter(journal, SOURCE), Decider(seen, evolve, decide), lease(1)))
    await until(lambda: len(seen.files) == WISHES_MAX)
    await asyncio.sleep(0.05)
    running.cancel()
    assert seen.files == ["file-0", "file-1", "file-2"]
    assert min(seen.decided_at) == 2, "the lease is the first event that a decision may follow"


async def test_a_newer_service_goes_on_where_the_older_one_is_ended(journal: Journal):
    older, newer = Seen(), Seen()
    first = asyncio.create_task(run(SingleWriter(journal, SOURCE), Decider(older, evolve, decide), lease(1)))
    await until(lambda: len(older.files) == WISHES_MAX)
    second = asyncio.create_task(run(SingleWriter(journal, SOURCE), Decider(newer, evolve, decide), lease(2)))
    async with asyncio.timeout(WAIT_SECONDS):
        with pytest.raises(ExceptionGroup) as caught:
            await first
    assert caught.group_contains(Fenced)
    await until(lambda: len(newer.decided_at) > 0)
    second.cancel()
    assert newer.files == older.files
