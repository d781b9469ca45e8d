"""What only a real server can do to its clients, and how the journal takes it."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager

import msgspec
import nats
import nkeys
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from tests.support.journal import event, ids, order, read
from tests.support.nats import nats_server, overheard, small_journal
from vbatch.contracts.message import Message
from vbatch.journal.jetstream import connect
from vbatch.journal.port import Rejected, TopologyMismatch, Unavailable
from vbatch.journal.settings import MIB

pytestmark = pytest.mark.integration

NEXT_OF_THE_LOG, NEXT_ORDER = "$JS.API.CONSUMER.MSG.NEXT.EVT.>", "$JS.API.CONSUMER.MSG.NEXT.WORK.>"
PATIENCE_SECONDS = 600.0
"""What a close would take that waited for anything: far beyond the time a test may have."""


@asynccontextmanager
async def nats_client(server):
    client = await nats.connect(server.url)
    try:
        yield client
    finally:
        await client.close()


async def command(server, subject: str, body: bytes = b""):
    async with nats_client(server) as client:
        return msgspec.json.decode((await client.request(subject, body, timeout=5)).data)


async def test_a_tail_goes_on_when_its_consumer_is_deleted(server, journal):
    await journal.log.append(event("e1"))
    async with journal.log.tail(0) as tail:
        assert ids(await read(tail, 1)) == ["e1"]
        names = (await command(server, "$JS.API.CONSUMER.NAMES.EVT"))["consumers"]
        for name in names:
            await command(server, f"$JS.API.CONSUMER.DELETE.EVT.{name}")
        await journal.log.append(event("e2"))
        assert ids(await read(tail, 1)) == ["e2"]


async def test_a_taker_goes_on_when_its_consumer_is_deleted(server, journal):
    async with journal.work.take("work.r1", "r1") as deliveries:
        await journal.work.put(order("o1"))
        await (await anext(deliveries)).ack()
        await command(server, "$JS.API.CONSUMER.DELETE.WORK.r1")
        await journal.work.put(order("o2"))
        async with asyncio.timeout(10):
            again = [(await anext(deliveries)).message.message_id for _ in range(2)]
    assert again == ["o1", "o2"]  # a new consumer knows nothing of earlier acknowledgements: at least once


async def test_a_tail_waits_for_a_stream_that_another_service_makes_later(server):
    async with (
        overheard(server, "$JS.API.CONSUMER.CREATE.EVT.>") as until_asked,
        connect(small_journal(server.url)) as journal,
        journal.log.tail(0) as tail,
    ):
        reading = asyncio.create_task(read(tail, 1))
        await until_asked()
        await journal.topology()
        await journal.log.append(event("e1"))
        assert ids(await reading) == ["e1"]


async def test_a_tail_of_a_stream_that_never_comes_is_unavailable(server):
    settings = small_journal(server.url, deadline_seconds=0.3)
    async with connect(settings) as journal, journal.log.tail(0) as tail:
        with pytest.raises(Unavailable, match="stream not found"):
            await anext(tail)


async def test_an_oversize_message_is_rejected_before_it_could_close_the_connection(server, journal):
    settings = small_journal(server.url, message_bytes_max=16 * MIB, tail_buffer_bytes=64 * MIB)
    async with connect(settings) as careless:
        with pytest.raises(Rejected):
            await careless.log.append(event("e1", b"x" * (4 * 1000 * 1000 + 500_000)))
        assert careless.is_connected
        assert await careless.log.append(event("e2")) == 1


async def test_an_order_longer_in_hand_than_the_ack_wait_is_not_delivered_again(journal):
    await journal.work.put(order("o1"))
    async with (
        journal.work.take("work.r1", "r1") as mine,
        journal.work.take("work.r1", "r1") as yours,
    ):
        delivery = await anext(mine)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.5):  # the ack wait is one second
                await anext(yours)
        await delivery.ack()


async def test_the_order_of_a_worker_that_vanished_is_delivered_to_another(server, journal):
    await journal.work.put(order("o1"))
    async with nats_client(server) as vanished:
        async with journal.work.take("work.r1", "r1") as deliveries:
            await (await anext(deliveries)).nak()  # makes the consumer
        inbox = await vanished.subscribe("in.box")
        await vanished.publish("$JS.API.CONSUMER.MSG.NEXT.WORK.r1", b'{"batch":1}', reply="in.box")
        await inbox.next_msg(5)
    async with journal.work.take("work.r1", "r1") as deliveries, asyncio.timeout(5):
        assert (await anext(deliveries)).message.message_id == "o1"


async def test_no_server_is_unavailable_within_the_time_given():
    with pytest.raises(Unavailable, match="no connection to"):
        async with connect(small_journal("nats://127.0.0.1:9", connect_seconds=0.5)):
            pass


@pytest.mark.parametrize("server_lives", [True, False])
async def test_closing_is_prompt(server, server_lives: bool):
    settings = small_journal(server.url, deadline_seconds=PATIENCE_SECONDS, attempt_seconds=PATIENCE_SECONDS)
    async with asyncio.timeout(PATIENCE_SECONDS / 10), connect(settings) as journal:
        await journal.topology()
        async with (
            overheard(server, NEXT_OF_THE_LOG, NEXT_ORDER) as until_asked,
            journal.log.tail(0) as tail,
            journal.work.take("work.r1", "r1") as deliveries,
        ):
            waiting = [asyncio.ensure_future(anext(tail)), asyncio.ensure_future(anext(deliveries))]
            await until_asked()
            if not server_lives:
                server.kill()
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting)


async def test_a_client_that_is_no_longer_let_in_says_that_it_is_dead(server, journal):
    async with overheard(server, NEXT_OF_THE_LOG) as until_asked, journal.log.tail(0) as tail:
        reading = asyncio.create_task(anext(tail))
        await until_asked()
        server.reload("authorization { token: secret }")
        async with asyncio.timeout(10):
            await journal.dead_event.wait()
            with pytest.raises(Unavailable):
                await reading
            with pytest.raises(Unavailable):
                await journal.log.append(event("e1"))
    assert not journal.is_connected


async def test_topology_brings_limits_to_the_settings(server, journal):
    async with connect(small_journal(server.url, log_bytes_max=128 * MIB)) as smaller:
        await smaller.topology()
    info = await command(server, "$JS.API.STREAM.INFO.EVT")
    assert info["config"]["max_bytes"] == 128 * MIB
    assert info["config"]["deny_delete"] is True


async def test_a_queue_forgets_its_oldest_orders_before_it_is_full_of_settled_ones(server, journal):
    async with connect(small_journal(server.url, work_orders_max=3)) as bounded:
        await bounded.topology()
        for number in range(8):
            await bounded.work.put(Message("work.gpu0.1", b"%d" % number, f"1:{number}", {}))
        await bounded.work.put(Message("work.gpu0.2", b"other", "2:0", {}))
        async with bounded.work.take("work.gpu0.1", "gpu0-1") as deliveries:
            bodies = []
            for _ in range(3):
                delivery = await anext(deliveries)
                bodies.append(delivery.message.body)
                await delivery.ack()
    assert bodies == [b"5", b"6", b"7"]


async def test_topology_refuses_a_stream_that_would_lose_events_and_names_why(server):
    config = b'{"name":"EVT","subjects":["evt.>"],"storage":"memory","retention":"limits","discard":"old"}'
    await command(server, "$JS.API.STREAM.CREATE.EVT", config)
    async with connect(small_journal(server.url)) as journal:
        with pytest.raises(TopologyMismatch, match=r"storage is 'memory', must be 'file'; discard is 'old'"):
            await journal.topology()


async def test_services_may_make_the_topology_at_the_same_time(server):
    async with connect(small_journal(server.url, "a")) as one, connect(small_journal(server.url, "b")) as two:
        await asyncio.gather(one.topology(), two.topology(), one.topology())
        assert await two.log.last_sequence() == 0


def nkey() -> tuple[str, str]:
    """A user's seed and public key."""
    seed = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
    return seed.decode(), nkeys.from_seed(seed).public_key.decode()


async def test_a_service_signs_in_with_its_key_and_is_told_what_it_may_not_do():
    admin_seed, admin = nkey()
    reader_seed, reader = nkey()
    allow = '["$JS.API.CONSUMER.CREATE.EVT.>", "$JS.API.CONSUMER.MSG.NEXT.EVT.*"]'
    users = (
        f"authorization {{ users: [ {{ nkey: {admin} }}, {{ nkey: {reader}, permissions: {{"
        f' publish: {{ allow: {allow} }}, subscribe: {{ allow: ["_INBOX_reader.>"] }} }} }} ] }}'
    )
    async with (
        nats_server(extra=users) as server,
        connect(small_journal(server.url, "admin", nkey_seed=admin_seed)) as owner,
        connect(small_journal(server.url, "reader", nkey_seed=reader_seed, deadline_seconds=0.5)) as journal,
    ):
        await owner.topology()
        await owner.log.append(event("e1"))
        async with journal.log.tail(0) as tail:
            assert ids(await read(tail, 1)) == ["e1"]
        with pytest.raises(Unavailable, match="permissions violation"):
            await journal.log.append(event("e2"))


async def test_the_trace_goes_with_the_message(journal):
    with trace.use_span(TracerProvider().get_tracer("test").start_span("publish")) as span:
        await journal.log.append(event("e1"))
    stored = await journal.log.last("evt.>")
    assert f"{span.get_span_context().trace_id:032x}" in stored.headers["traceparent"]


async def test_bodies_of_any_bytes_survive_the_leader_read(journal):
    body = bytes(range(256)) * 100
    await journal.log.append(event("e1", body))
    stored = await journal.log.last("evt.>")
    assert stored.body == body
