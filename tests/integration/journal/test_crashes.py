"""A server killed at any moment: nothing lost, nothing twice, order kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import pytest

from tests.support.journal import event, ids, lease, order, read
from tests.support.nats import NatsServer, small_journal
from vbatch.contracts.message import Recorded
from vbatch.journal.jetstream import JetStreamJournal, connect
from vbatch.journal.port import Conflict, Guard, Journal, Unavailable

pytestmark = pytest.mark.integration

KILLS = 4
MESSAGES = 2000


async def kill_now_and_then(server: NatsServer, random: Random) -> None:
    for _ in range(KILLS):
        await asyncio.sleep(random.uniform(0.1, 0.4))
        server.kill()
        await asyncio.sleep(random.uniform(0.0, 0.2))
        await server.start()


@contextmanager
def counted_sends(journal: JetStreamJournal) -> Iterator[Callable[[], int]]:
    """How many messages it has handed to its socket."""
    connection = journal._requests.connection
    send, sent = connection.send, 0

    async def counting(*args: Any, **more: Any) -> None:
        nonlocal sent
        sent += 1
        await send(*args, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "send", counting)
        yield lambda: sent


async def tail_until(journal: Journal, last_id: str) -> list[Recorded]:
    seen: list[Recorded] = []
    async with journal.log.tail(0, ("evt.batch.>",)) as tail:
        async for records in tail:
            seen += records
            if records[-1].message_id == last_id:
                break
    return seen


class Saboteur:
    """Kills the server at moments of the publisher's progress, and brings it back."""

    def __init__(self, server: NatsServer, random: Random) -> None:
        self._server = server
        self._moments = set(random.sample(range(1, MESSAGES), KILLS))
        self._strikes = asyncio.Semaphore(0)
        self.stored: list[int] = []

    def on_stored(self, sequence: int) -> None:
        self.stored.append(sequence)
        if len(self.stored) in self._moments:
            self._strikes.release()

    async def kill_and_bring_back(self) -> None:
        for _ in range(KILLS):
            await self._strikes.acquire()
            self._server.kill()
            await self._server.start()


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_pipelined_publisher_and_a_tail_survive_kills_of_the_server(server, journal, seed: int):
    saboteur = Saboteur(server, Random(seed))
    mine = await journal.log.acquire(lease("l1"))
    async with asyncio.TaskGroup() as tasks:
        tailing = tasks.create_task(tail_until(journal, f"e{MESSAGES - 1}"))
        killing = tasks.create_task(saboteur.kill_and_bring_back())
        async with journal.publisher(mine) as publisher:
            for n in range(MESSAGES):
                await publisher.publish(event(f"e{n}", b"x" * (n % 3000)), saboteur.on_stored)
        await killing
    seen = tailing.result()
    assert ids(seen) == [f"e{n}" for n in range(MESSAGES)]
    assert [record.sequence for record in seen] == saboteur.stored
    assert all(len(record.body) == n % 3000 for n, record in enumerate(seen))


async def test_guarded_single_and_atomic_appends_survive_kills_of_the_server(server, journal):
    expected: list[str] = []

    async def append_for_a_while(killing: asyncio.Task[None]) -> None:
        version = 0
        while not killing.done():
            n = len(expected)
            guard = Guard("evt.batch.b1.>", version)
            if n % 2:
                version = await journal.log.append(event(f"e{n}"), guard)
                expected.append(f"e{n}")
            else:
                names = [f"e{n + k}" for k in range(5)]
                version = await journal.log.append_all([event(name) for name in names], guard)
                expected.extend(names)

    async with asyncio.TaskGroup() as tasks:
        killing = tasks.create_task(kill_now_and_then(server, Random(7)))
        tasks.create_task(append_for_a_while(killing))
    assert ids(await tail_until(journal, expected[-1])) == expected


async def test_an_append_waits_for_a_server_that_is_away_for_a_moment(server, journal):
    server.kill()
    async with asyncio.TaskGroup() as tasks:
        appending = tasks.create_task(journal.log.append(event("e1")))
        while journal.is_connected:  # noqa: ASYNC110  # it has no way to say so
            await asyncio.sleep(0.01)
        assert not appending.done()
        await server.start()
    assert appending.result() == 1


async def test_an_append_to_a_server_that_stays_away_is_unavailable_at_the_deadline(server):
    async with connect(small_journal(server.url, deadline_seconds=0.5)) as journal:
        await journal.topology()
        server.kill()
        with pytest.raises(Unavailable):
            await journal.log.append(event("e1"))


async def test_a_publisher_gives_up_at_the_deadline(server):
    async with connect(small_journal(server.url, deadline_seconds=0.5)) as journal:
        await journal.topology()
        with pytest.raises(Unavailable):
            async with journal.publisher() as publisher:
                server.kill()
                for n in range(100):
                    await publisher.publish(event(f"e{n}"))


async def test_a_frozen_server_costs_time_and_nothing_else(server, journal):
    async with journal.publisher() as publisher:
        await publisher.publish(event("e0"))
        await publisher.flush()
        server.freeze()
        with counted_sends(journal) as sends:
            for n in range(1, 20):
                await publisher.publish(event(f"e{n}"))
            while sends() < 20:  # noqa: ASYNC110  # until the publisher sends again
                await asyncio.sleep(0.01)
        server.thaw()
    async with journal.log.tail(0) as tail:
        assert ids(await read(tail, 20)) == [f"e{n}" for n in range(20)]


async def test_an_order_in_hand_can_be_settled_after_a_restart_of_the_server(server, journal):
    await journal.work.put(order("o1"))
    async with journal.work.take("work.r1", "r1") as deliveries:
        delivery = await anext(deliveries)
        server.kill()
        await server.start()
        await delivery.ack()
        await journal.work.put(order("o2"))
        async with asyncio.timeout(10):
            assert (await anext(deliveries)).message.message_id == "o2"


async def test_a_zombie_is_fenced_in_the_middle_of_its_pipeline(server: NatsServer, journal: JetStreamJournal):
    async with connect(small_journal(server.url, name="rival")) as rival:
        old = await journal.log.acquire(lease("l1"))
        zombie = asyncio.create_task(publish_for_ever(journal, old))
        async with journal.log.tail(200) as tail:
            await anext(tail)
        new = await rival.log.acquire(lease("l2"))
        outcome = await asyncio.gather(zombie, return_exceptions=True)
    assert isinstance(outcome[0], Conflict)
    assert await journal.log.last_sequence() == new.epoch


async def publish_for_ever(journal, held) -> None:
    async with journal.publisher(held) as publisher:
        for n in range(1_000_000):
            await publisher.publish(event(f"e{n}"))
