"""What every work queue promises: once in, until settled out, and nothing lost from sight."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.journal import WAIT_SECONDS, event, order
from vbatch.journal.port import Delivery, Journal, Origin

pytestmark = pytest.mark.contract


async def take_one(deliveries: AsyncIterator[Delivery]) -> Delivery:
    async with asyncio.timeout(WAIT_SECONDS):
        return await anext(deliveries)


async def expect_none(deliveries: AsyncIterator[Delivery], seconds: float = 0.3) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds):
            await anext(deliveries)


async def test_orders_come_in_the_order_they_were_put_and_once(journal: Journal):
    async with journal.work.take("work.r1", "r1") as deliveries:
        for n in range(5):
            await journal.work.put(order(f"o{n}"))
        for n in range(5):
            delivery = await take_one(deliveries)
            assert (delivery.message.body, delivery.delivery_count) == (b"o%d" % n, 1)
            await delivery.ack()
        await expect_none(deliveries)


async def test_a_queue_knows_whether_somebody_waits_for_its_next_order(journal: Journal):
    assert not await journal.work.is_awaited("r1")
    async with journal.work.take("work.r1", "r1") as deliveries:
        waiting = asyncio.ensure_future(anext(deliveries))
        async with asyncio.timeout(WAIT_SECONDS):
            while not await journal.work.is_awaited("r1"):  # noqa: ASYNC110  # only the server knows of the pull
                await asyncio.sleep(0.01)
        waiting.cancel()


async def test_the_same_order_is_put_once(journal: Journal):
    assert await journal.work.put(order("o1")) == await journal.work.put(order("o1"))


async def test_orders_on_other_subjects_are_not_delivered(journal: Journal):
    await journal.work.put(order("o1", "work.r2"))
    await journal.work.put(order("o2", "work.r1"))
    async with journal.work.take("work.r1", "r1") as deliveries:
        assert (await take_one(deliveries)).message.message_id == "o2"


async def test_a_refused_order_comes_again_at_once(journal: Journal):
    await journal.work.put(order("o1"))
    async with journal.work.take("work.r1", "r1") as deliveries:
        await (await take_one(deliveries)).nak()
        again = await take_one(deliveries)
        assert (again.message.message_id, again.delivery_count) == ("o1", 2)


async def test_a_refused_order_comes_again_not_before_the_delay(journal: Journal):
    await journal.work.put(order("o1"))
    async with journal.work.take("work.r1", "r1") as deliveries:
        await (await take_one(deliveries)).nak(delay_seconds=0.8)
        await expect_none(deliveries, seconds=0.5)
        assert (await take_one(deliveries)).delivery_count == 2


async def test_no_more_is_handed_out_than_may_be_in_flight(open_journal):
    journal = await open_journal(work_in_flight_max=2)
    for n in range(3):
        await journal.work.put(order(f"o{n}"))
    async with journal.work.take("work.r1", "r1") as deliveries:
        first = await take_one(deliveries)
        await take_one(deliveries)
        await expect_none(deliveries)
        await first.ack()
        assert (await take_one(deliveries)).message.message_id == "o2"


async def test_settling_one_wakes_a_taker_that_waits_for_room(open_journal):
    journal = await open_journal(work_in_flight_max=1)
    for n in range(2):
        await journal.work.put(order(f"o{n}"))
    async with journal.work.take("work.r1", "r1") as deliveries:
        first = await take_one(deliveries)
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(take_one(deliveries))
            await asyncio.sleep(0)
            await first.ack()
        assert waiting.result().message.message_id == "o1"


async def test_what_is_unsettled_on_leaving_goes_back(journal: Journal):
    await journal.work.put(order("o1"))
    async with journal.work.take("work.r1", "r1") as deliveries:
        await take_one(deliveries)
    async with journal.work.take("work.r1", "r1") as deliveries:
        assert (await take_one(deliveries)).delivery_count == 2


async def test_what_was_settled_stays_settled_for_the_next_taker(journal: Journal):
    await journal.work.put(order("o1"))
    async with journal.work.take("work.r1", "r1") as deliveries:
        await (await take_one(deliveries)).ack()
    async with journal.work.take("work.r1", "r1") as deliveries:
        await expect_none(deliveries)


async def test_two_takers_of_one_consumer_share_the_orders(journal: Journal):
    async with (
        journal.work.take("work.r1", "r1") as mine,
        journal.work.take("work.r1", "r1") as yours,
    ):
        await journal.work.put(order("o1"))
        await journal.work.put(order("o2"))
        got = {(await take_one(mine)).message.message_id, (await take_one(yours)).message.message_id}
        assert got == {"o1", "o2"}


async def test_settling_twice_is_a_bug(journal: Journal):
    await journal.work.put(order("o1"))
    async with journal.work.take("work.r1", "r1") as deliveries:
        delivery = await take_one(deliveries)
        await delivery.ack()
        with pytest.raises(RuntimeError):
            await delivery.nak()


async def test_a_dead_letter_keeps_the_order_and_the_reason_and_never_comes_again(journal: Journal):
    sequence = await journal.work.put(order("o1"))
    async with journal.work.take("work.r1", "r1") as deliveries:
        await (await take_one(deliveries)).dead_letter("cannot be\r\nread")
        await expect_none(deliveries)
    (letter,) = await journal.dead.list()
    assert (letter.reason, letter.origin) == ("cannot be read", Origin.WORK)
    assert (letter.original.sequence, letter.original.subject) == (sequence, "work.r1")
    assert (letter.original.body, letter.original.message_id) == (b"o1", "o1")


async def test_an_order_delivered_too_often_is_buried_with_its_reason(open_journal):
    journal = await open_journal(work_deliveries_max=2)
    await journal.work.put(order("poison"))
    async with journal.work.take("work.r1", "r1") as deliveries:
        for _ in range(2):
            await (await take_one(deliveries)).nak()
        await journal.work.put(order("good"))
        assert (await take_one(deliveries)).message.message_id == "good"
    (letter,) = await journal.dead.list()
    assert letter.reason == "delivered 3 times and never settled"


async def test_an_unreadable_record_of_the_log_can_be_buried_once(journal: Journal):
    await journal.log.append(event("e1", b"garbage", headers={"ce-type": "?"}))
    record = await journal.log.last("evt.>")
    assert record is not None
    assert await journal.dead.append(record, "not JSON") == await journal.dead.append(record, "not JSON")
    (letter,) = await journal.dead.list()
    assert letter.origin is Origin.LOG
    assert (letter.original.body, letter.original.headers) == (record.body, record.headers)


async def test_the_largest_record_can_still_be_buried(journal: Journal):
    await journal.log.append(event("e1", b"x" * (2 * 1024 * 1024 - 200)))
    record = await journal.log.last("evt.>")
    assert record is not None
    await journal.dead.append(record, "why " * 1000)
    assert len((await journal.dead.list())[0].original.body) == len(record.body)


async def test_dead_letters_are_listed_page_by_page(journal: Journal):
    for n in range(5):
        await journal.log.append(event(f"e{n}"))
    async with journal.log.tail(0) as tail:
        async for records in tail:
            for record in records:
                await journal.dead.append(record, "no use")
            if records[-1].sequence == 5:
                break
    first = await journal.dead.list(limit=3)
    rest = await journal.dead.list(after=first[-1].sequence, limit=3)
    assert [letter.original.sequence for letter in first + rest] == [1, 2, 3, 4, 5]


async def test_a_dropped_dead_letter_is_gone_and_the_others_stay(journal: Journal):
    for n in range(3):
        await journal.log.append(event(f"e{n}"))
        record = await journal.log.last("evt.>")
        assert record is not None
        await journal.dead.append(record, "no use")
    await journal.dead.drop(2)
    await journal.dead.drop(2)
    await journal.dead.drop(99)
    assert [letter.sequence for letter in await journal.dead.list()] == [1, 3]
    assert await journal.dead.get(2) is None
    letter = await journal.dead.get(3)
    assert letter is not None and letter.original.message_id == "e2"
    assert await journal.dead.count() == 2


async def test_a_dead_letter_that_never_was_is_none(journal: Journal):
    assert [await journal.dead.get(sequence) for sequence in (0, 1)] == [None, None]
