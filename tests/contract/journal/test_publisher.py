"""What every publisher promises: order, each message once, bounds, and an end when it is fenced."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.journal import event, ids, lease, read
from vbatch.journal.port import Conflict, Full, Journal, Rejected
from vbatch.journal.settings import MIB

pytestmark = pytest.mark.contract


async def test_what_is_published_is_stored_in_order(journal: Journal):
    mine = await journal.log.acquire(lease("l1"))
    async with journal.publisher(mine) as publisher:
        for n in range(500):
            await publisher.publish(event(f"e{n}"))
        assert await publisher.flush() == mine.epoch + 500
    async with journal.log.tail(mine.epoch) as tail:
        assert ids(await read(tail, 500)) == [f"e{n}" for n in range(500)]


async def test_it_tells_of_each_message_that_it_is_stored_in_order(journal: Journal):
    stored: list[int] = []
    async with journal.publisher() as publisher:
        for n in range(100):
            await publisher.publish(event(f"e{n}"), stored.append)
    assert stored == list(range(1, 101))


async def test_publishers_waiting_together_keep_the_order_of_their_calls(journal: Journal):
    async with journal.publisher() as publisher:
        await asyncio.gather(*(publisher.publish(event(f"e{n}", b"x" * 1000)) for n in range(200)))
    async with journal.log.tail(0) as tail:
        assert ids(await read(tail, 200)) == [f"e{n}" for n in range(200)]


async def test_flushing_nothing_returns_zero(journal: Journal):
    async with journal.publisher() as publisher:
        assert await publisher.flush() == 0


async def test_publishing_again_what_is_stored_stores_nothing(journal: Journal):
    for _ in range(2):
        async with journal.publisher() as publisher:
            for n in range(10):
                await publisher.publish(event(f"e{n}"))
            assert await publisher.flush() == 10
    assert await journal.log.last_sequence() == 10


async def test_a_fenced_publisher_meets_a_conflict_for_good(journal: Journal):
    old = await journal.log.acquire(lease("l1"))
    with pytest.raises(Conflict):
        async with journal.publisher(old) as publisher:
            await publisher.publish(event("e1"))
            await publisher.flush()
            new = await journal.log.acquire(lease("l2"))
            await publisher.publish(event("e2"))
            with pytest.raises(Conflict):
                await publisher.flush()
            await publisher.publish(event("e3"))
    assert await journal.log.last_sequence() == new.epoch


async def test_a_rejected_message_does_not_end_the_publisher(journal: Journal):
    async with journal.publisher() as publisher:
        with pytest.raises(Rejected):
            await publisher.publish(event("big", b"x" * (3 * MIB)))
        await publisher.publish(event("e1"))
    assert await journal.log.last_sequence() == 1


async def test_leaving_by_an_exception_does_not_hide_it(journal: Journal):
    with pytest.raises(ZeroDivisionError):
        async with journal.publisher() as publisher:
            await publisher.publish(event("e1"))
            raise ZeroDivisionError


async def test_a_full_log_stops_its_writers(open_journal):
    journal = await open_journal(log_bytes_max=1 * MIB)
    with pytest.raises(Full):
        async with journal.publisher() as publisher:
            for n in range(100):
                await publisher.publish(event(f"e{n}", b"x" * 100_000))
    with pytest.raises(Full):
        await journal.log.append(event("one more", b"x" * 500_000))
    with pytest.raises(Full):
        await journal.log.append_all([event("a", b"x" * 500_000), event("b", b"x" * 500_000)])


async def test_a_message_refused_for_good_is_left_out_and_the_others_go_on(journal: Journal):
    refused: list[Rejected] = []
    async with journal.publisher() as publisher:
        await publisher.publish(event("e1"))
        await publisher.publish(event("large", b"x" * (3 * MIB)), None, refused.append)
        await publisher.publish(event("e2"))
        await publisher.flush()
    async with journal.log.tail(0) as tail:
        assert ids(await read(tail, 2)) == ["e1", "e2"]
    assert "the limit is" in str(refused[0]) or "limit" in str(refused[0])


async def test_a_refusal_that_nobody_takes_is_raised(journal: Journal):
    async with journal.publisher() as publisher:
        with pytest.raises(Rejected):
            await publisher.publish(event("large", b"x" * (3 * MIB)))
