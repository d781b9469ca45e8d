"""What every log promises about appending and reading."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from tests.support.journal import event, ids, lease, read
from vbatch.journal.port import (
    MESSAGE_SIZE_HEADER,
    Conflict,
    Guard,
    Journal,
    LogPurge,
    Rejected,
)
from vbatch.journal.settings import MIB

pytestmark = pytest.mark.contract


async def test_an_empty_log_has_no_last_message_and_its_head_is_zero(journal: Journal):
    assert await journal.log.last("evt.>") is None
    assert await journal.log.last_sequence() == 0


async def test_what_was_appended_is_read_back_as_it_was(journal: Journal):
    before = datetime.now(UTC) - timedelta(seconds=5)
    sequence = await journal.log.append(event("e1", b"\x00\xff body", headers={"ce-id": "e1", "ce-source": "/tést"}))
    last = await journal.log.last("evt.batch.b1.>")
    assert last is not None
    assert (last.sequence, last.subject, last.body) == (sequence, "evt.batch.b1.created", b"\x00\xff body")
    assert last.headers == {"ce-id": "e1", "ce-source": "/tést", "Nats-Msg-Id": "e1"}
    assert before < last.recorded_at < datetime.now(UTC) + timedelta(seconds=5)


async def test_a_tail_and_the_last_message_tell_the_same(journal: Journal):
    await journal.log.append_all([event("e1", headers={"ce-id": "1"}), event("e2", b"two", headers={"ce-id": "2"})])
    async with journal.log.tail(0) as tail:
        assert (await read(tail, 2))[1] == await journal.log.last("evt.>")


async def test_the_same_message_is_stored_once(journal: Journal):
    first = await journal.log.append(event("e1"))
    assert await journal.log.append(event("e1")) == first
    assert await journal.log.last_sequence() == first


async def test_a_guard_that_holds_lets_the_message_in(journal: Journal):
    first = await journal.log.append(event("e1"), Guard("evt.batch.b1.>", 0))
    await journal.log.append(event("other", subject="evt.batch.b2.created"))
    assert await journal.log.append(event("e2"), Guard("evt.batch.b1.>", first)) == 3


async def test_a_guard_that_fails_is_a_conflict_and_stores_nothing(journal: Journal):
    await journal.log.append(event("e1"))
    with pytest.raises(Conflict):
        await journal.log.append(event("e2"), Guard("evt.batch.b1.>", 0))
    assert await journal.log.last_sequence() == 1


async def test_repeating_a_guarded_append_returns_its_own_sequence(journal: Journal):
    guard = Guard("evt.batch.b1.>", 0)
    first = await journal.log.append(event("e1"), guard)
    assert await journal.log.append(event("e1"), guard) == first


async def test_of_two_rivals_with_the_same_guard_one_wins(journal: Journal):
    guard = Guard("evt.batch.b1.>", 0)
    answers = await asyncio.gather(
        journal.log.append(event("mine"), guard),
        journal.log.append(event("yours"), guard),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers if not isinstance(answer, int)] == [Conflict]


async def test_a_newer_lease_makes_the_older_powerless(journal: Journal):
    old = await journal.log.acquire(lease("first"))
    await journal.log.append(event("e1"), old.guard())
    new = await journal.log.acquire(lease("second"))
    assert new.epoch > old.epoch
    with pytest.raises(Conflict):
        await journal.log.append(event("e2"), old.guard())
    await journal.log.append(event("e2"), new.guard())


async def test_repeating_an_append_under_a_current_lease_returns_its_sequence(journal: Journal):
    mine = await journal.log.acquire(lease("first"))
    stored = await journal.log.append(event("e1"), mine.guard())
    await journal.log.append(event("e2"), mine.guard())
    assert await journal.log.append(event("e1"), mine.guard()) == stored


async def test_rivals_for_a_lease_all_get_one_and_the_last_one_holds(journal: Journal):
    leases = await asyncio.gather(*(journal.log.acquire(lease(f"l{n}")) for n in range(5)))
    newest = max(leases, key=lambda each: each.epoch)
    assert len({each.epoch for each in leases}) == 5
    await journal.log.append(event("e1"), newest.guard())


async def test_a_thousand_messages_are_stored_together(journal: Journal):
    last = await journal.log.append_all([event(f"e{n}") for n in range(1000)], Guard("evt.batch.b1.>", 0))
    assert last == await journal.log.last_sequence() == 1000
    async with journal.log.tail(0) as tail:
        assert ids(await read(tail, 1000)) == [f"e{n}" for n in range(1000)]


async def test_all_or_none_is_stored_when_the_guard_fails(journal: Journal):
    await journal.log.append(event("e0"))
    with pytest.raises(Conflict):
        await journal.log.append_all([event("e1"), event("e2")], Guard("evt.batch.b1.>", 0))
    assert await journal.log.last_sequence() == 1


async def test_repeating_an_atomic_append_returns_its_last_sequence(journal: Journal):
    messages, guard = [event("e1"), event("e2")], Guard("evt.batch.b1.>", 0)
    assert await journal.log.append_all(messages, guard) == 2
    assert await journal.log.append_all(messages, guard) == 2
    assert await journal.log.append_all(messages) == 2
    assert await journal.log.last_sequence() == 2


async def test_an_atomic_append_of_which_a_part_is_stored_is_a_conflict(journal: Journal):
    await journal.log.append(event("e1"))
    with pytest.raises(Conflict):
        await journal.log.append_all([event("e1"), event("e2", subject="evt.batch.b2.created")])
    assert await journal.log.last_sequence() == 1


@pytest.mark.parametrize("count", [0, 1001])
async def test_an_atomic_append_of_none_or_too_many_is_rejected(journal: Journal, count: int):
    with pytest.raises(Rejected):
        await journal.log.append_all([event(f"e{n}") for n in range(count)])


@pytest.mark.parametrize(
    "refused",
    [
        event("e1", subject="evt.batch.*.created"),
        event("e1", subject="evt..created"),
        event("e1", subject="evt.batch b1.created"),
        event(""),
        event("two\r\nlines"),
        event("e1", headers={"ce-id": "two\r\nlines"}),
        event("e1", headers={"Nats-Expected-Last-Sequence": "7"}),
        event("e1", headers={"bad name": "x"}),
        event("e1", b"x" * (2 * MIB)),
        event("e1", b"x" * (2 * MIB - 100), headers={"ce-id": "x" * 100}),
    ],
)
async def test_a_message_that_cannot_be_stored_is_rejected_and_the_next_one_is_not(journal, refused):
    with pytest.raises(Rejected):
        await journal.log.append(refused)
    assert await journal.log.append(event("good")) == 1


async def test_a_tail_starts_behind_the_given_sequence(journal: Journal):
    await journal.log.append_all([event(f"e{n}") for n in range(1, 11)])
    async with journal.log.tail(7) as tail:
        assert [r.sequence for r in await read(tail, 3)] == [8, 9, 10]


async def test_a_tail_goes_on_with_what_is_appended_later(journal: Journal):
    async with journal.log.tail(0) as tail:
        for n in range(3):
            await journal.log.append(event(f"e{n}"))
            assert ids(await read(tail, 1)) == [f"e{n}"]


async def test_a_tail_gives_only_the_subjects_asked_for(journal: Journal):
    await journal.log.append(event("e1", subject="evt.batch.b1.created"))
    await journal.log.append(event("e2", subject="evt.file.f1.stored"))
    await journal.log.append(event("e3", subject="evt.batch.b1.completed"))
    await journal.log.append(event("e4", subject="evt.runner.r1.lease"))
    async with journal.log.tail(0, ("evt.batch.*.created", "evt.runner.>")) as tail:
        assert ids(await read(tail, 2)) == ["e1", "e4"]


async def test_headers_only_leaves_the_bodies_behind_and_tells_their_size(journal: Journal):
    await journal.log.append(event("e1", b"x" * 5000, headers={"ce-id": "1"}))
    async with journal.log.tail(0, headers_only=True) as tail:
        (record,) = await read(tail, 1)
    assert record.body == b""
    assert record.headers["ce-id"] == "1"
    assert record.headers[MESSAGE_SIZE_HEADER] == "5000"


async def test_giving_up_on_a_quiet_tail_loses_nothing(journal: Journal):
    async with journal.log.tail(0) as tail:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await anext(tail)
        await journal.log.append_all([event("e1"), event("e2")])
        assert ids(await read(tail, 2)) == ["e1", "e2"]


async def test_big_messages_pass_a_tail_many_times_its_buffer(journal: Journal):
    async with journal.log.tail(0) as tail, asyncio.TaskGroup() as tasks:
        count = 40

        async def append() -> None:
            for n in range(count):
                await journal.log.append(event(f"e{n}", bytes([n]) * (2 * MIB - 1000)))

        tasks.create_task(append())
        assert ids(await read(tail, count)) == [f"e{n}" for n in range(count)]


async def test_a_malformed_filter_is_rejected(journal: Journal):
    with pytest.raises(Rejected):
        async with journal.log.tail(0, ("evt.>.x",)) as tail:
            await anext(tail)


CHUNKS = "evt.batch.b1.chunk_completed"


async def purging(journal: Journal) -> LogPurge:
    """Four chunks of a batch, between events that are none; the log that can take them out."""
    for number, subject in enumerate((CHUNKS, "evt.batch.b1.created", CHUNKS, "evt.batch.b2.chunk_completed", CHUNKS)):
        await journal.log.append(event(f"e{number + 1}", subject=subject))
    return cast(LogPurge, journal.log)


async def test_a_purge_takes_one_subject_up_to_a_sequence_and_leaves_all_others_in_their_places(journal: Journal):
    log = await purging(journal)
    assert await log.purge(CHUNKS, 3) == 2
    async with journal.log.tail(0) as tail:
        assert [record.sequence for record in await read(tail, 3)] == [2, 4, 5]
    assert await journal.log.append(event("e6")) == 6


async def test_a_purge_that_is_done_again_takes_nothing(journal: Journal):
    log = await purging(journal)
    await log.purge(CHUNKS, 5)
    assert (await log.purge(CHUNKS, 5), await journal.log.last(CHUNKS)) == (0, None)
    assert await journal.log.last_sequence() == 5


async def test_a_purge_makes_room(journal: Journal):
    log = await purging(journal)
    before = (await journal.log.fill()).bytes
    await log.purge(CHUNKS, 5)
    assert (await journal.log.fill()).bytes < before


async def test_a_purge_of_a_filter_is_rejected(journal: Journal):
    log = await purging(journal)
    with pytest.raises(Rejected):
        await log.purge("evt.batch.*.chunk_completed", 5)
    assert (await journal.log.last("evt.batch.*.chunk_completed")) is not None


async def test_a_reader_meets_what_follows_although_a_purge_takes_what_it_did_not_read_yet(journal: Journal):
    log = await purging(journal)
    async with journal.log.tail(0) as tail:
        sequences = [record.sequence for record in await anext(tail)]
        await log.purge(CHUNKS, 5)
        await journal.log.append(event("e6"))
        while sequences[-1] < 6:
            sequences += [record.sequence for record in await anext(tail)]
    assert sequences == sorted(set(sequences))
    assert {2, 4, 6} <= set(sequences)
