"""Each service may write its own events and nothing else; the reader may write nothing. On a real server."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import nkeys
import pytest

from tests.support.events import SAMPLES
from tests.support.nats import NatsServer, nats_server, small_journal
from vbatch.contracts import codec
from vbatch.contracts.catalogue import BY_TYPE
from vbatch.contracts.events import Event
from vbatch.contracts.message import Message, Recorded
from vbatch.journal.jetstream import JetStreamJournal, connect
from vbatch.journal.port import Unavailable
from vbatch.journal.settings import JournalSettings
from vbatch.local import nats_users

pytestmark = pytest.mark.integration

SERVICES = ("gateway", "scheduler", "gpu-runner", "results", "notifier", "labeler")
DENIED_SECONDS = 1.5
"""The server answers a denied publish with silence to the caller, and a word on the connection."""


WAIT_SECONDS_MAX = 30.0


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    folder = tmp_path / "keys"
    nats_users.provide_keys(folder)
    return folder


@pytest.fixture
async def server(keys: Path) -> AsyncIterator[NatsServer]:
    async with nats_server(extra=nats_users.render(keys)) as server:
        async with connect(as_user(server, keys, "operator")) as operator:
            await operator.topology()
        yield server


def as_user(server: NatsServer, keys: Path, user: str, name: str | None = None) -> JournalSettings:
    seed = nats_users.key_file(keys, user).read_text()
    settings = small_journal(server.url, name or user, nkey_seed=seed)
    return replace(settings, attempt_seconds=DENIED_SECONDS, deadline_seconds=DENIED_SECONDS)


def of(name: str) -> Event:
    return next(sample for sample in SAMPLES if BY_TYPE[type(sample)].name == name)


async def append(journal: JetStreamJournal, event: Event) -> int:
    return await journal.log.append(codec.encode(event, source="test"))


async def must_be_denied(*asks: Awaitable[object]) -> None:
    found = await asyncio.gather(*asks, return_exceptions=True)
    assert [type(error) for error in found] == [Unavailable] * len(asks)


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_appends_what_the_catalogue_says_and_is_denied_the_rest(
    server: NatsServer, keys: Path, service: str
):
    async with connect(as_user(server, keys, service)) as journal:
        await journal.topology()
        mine = [sample for sample in SAMPLES if service in BY_TYPE[type(sample)].writers]
        assert all([await append(journal, sample) > 0 for sample in mine])
        subjects = {BY_TYPE[type(sample)].subject(sample) for sample in mine}
        others = [sample for sample in SAMPLES if BY_TYPE[type(sample)].subject(sample) not in subjects]
        await must_be_denied(*(append(journal, sample) for sample in others))
        assert "permissions violation" in journal._requests.connection.complaint.lower()


async def test_the_gateway_cannot_dispatch_nor_put_orders(server: NatsServer, keys: Path):
    async with connect(as_user(server, keys, "gateway")) as journal:
        order = Message("work.gpu0.1", b"{}", "order")
        await must_be_denied(append(journal, of("batch.dispatched")), journal.work.put(order))


async def test_a_service_does_its_whole_work_with_its_rights(server: NatsServer, keys: Path):
    """Leases, fenced pipelines, orders, replays, dead letters."""
    async with (
        connect(as_user(server, keys, "scheduler")) as scheduler,
        connect(as_user(server, keys, "gpu-runner")) as runner,
        connect(as_user(server, keys, "results")) as results,
    ):
        lease = await runner.log.acquire(codec.encode(of("runner.lease"), source="test"))
        await scheduler.work.put(Message("work.gpu0.1", b"{}", "order"))
        async with runner.publisher(lease) as publisher, runner.work.take("work.gpu0.1", "gpu0-1") as deliveries:
            await publisher.publish(codec.encode(of("batch.chunk_completed"), source="test"))
            await publisher.flush()
            await (await anext(deliveries)).ack()
            await scheduler.work.put(Message("work.gpu0.1", b"?", "bad order"))
            await (await anext(deliveries)).dead_letter("unreadable")
        async with results.log.tail(0) as arrivals:
            assert (await anext(arrivals))[0].sequence == lease.epoch
        assert await results.dead.count() == 1
        assert isinstance(await scheduler.work.is_awaited("gpu0-1"), bool)


async def test_the_gateway_looks_at_dead_letters_and_removes_one(server: NatsServer, keys: Path):
    async with (
        connect(as_user(server, keys, "scheduler")) as scheduler,
        connect(as_user(server, keys, "gateway")) as gateway,
    ):
        await append(gateway, of("batch.created"))
        record = await gateway.log.last("evt.batch.>")
        assert record is not None
        letter = await scheduler.dead.append(record, "no use")
        assert [found.sequence for found in await gateway.dead.list()] == [letter]
        await gateway.dead.drop(letter)
        assert await gateway.dead.count() == 0
        await must_be_denied(gateway.dead.append(record, "not its right"))


async def test_a_service_cannot_remove_or_change_streams(server: NatsServer, keys: Path):
    for service in SERVICES:
        async with connect(as_user(server, keys, service)) as journal:
            asks = ["STREAM.DELETE.EVT", "STREAM.UPDATE.EVT", "STREAM.PURGE.DEAD", "STREAM.MSG.DELETE.EVT"]
            asks += ["STREAM.PURGE.EVT"] if service != "results" else []
            asks += ["STREAM.MSG.DELETE.DEAD"] if service not in ("gateway", "results") else []
            await must_be_denied(*(journal._requests.request(f"$JS.API.{ask}", b"{}") for ask in asks))


async def test_results_alone_takes_from_the_log_what_an_archive_holds(server: NatsServer, keys: Path):
    async with connect(as_user(server, keys, "results")) as results:
        assert await results.log.purge("evt.batch.b1.chunk_completed", 1) == 0


async def test_results_finds_and_removes_dead_letters_whose_answers_were_deleted(server: NatsServer, keys: Path):
    async with connect(as_user(server, keys, "results")) as results:
        record = Recorded(1, "evt.batch.b1.chunk_completed", {}, b"{}", datetime.now(UTC))
        letter = await results.dead.append(record, "unreadable")
        assert [found.sequence for found in await results.dead.list()] == [letter]
        await results.dead.drop(letter)
        assert await results.dead.count() == 0


async def test_nobody_hears_the_answers_to_others(server: NatsServer, keys: Path):
    async with connect(as_user(server, keys, "gateway")) as journal:
        with pytest.raises(Unavailable):
            await journal._requests.request("_INBOX_scheduler.x", b"")
    with pytest.raises(Unavailable):
        async with connect(as_user(server, keys, "gateway", name="scheduler")) as journal:
            await journal.log.last_sequence()


async def test_the_reader_follows_the_log_and_can_publish_nothing(server: NatsServer, keys: Path):
    async with connect(as_user(server, keys, "gateway")) as gateway:
        await append(gateway, of("batch.created"))
    async with connect(as_user(server, keys, "reader")) as reader:
        async with reader.log.tail(0) as arrivals:
            assert len(await anext(arrivals)) == 1
        order = Message("work.gpu0.1", b"{}", "order")
        await must_be_denied(reader.work.put(order), *(append(reader, sample) for sample in SAMPLES))


async def test_the_reader_cannot_have_the_server_write_for_it(server: NatsServer, keys: Path):
    """A consumer may name a subject to deliver to; a stream does not take what is delivered there."""
    async with connect(as_user(server, keys, "gateway")) as gateway:
        await append(gateway, of("batch.created"))
    config = {"name": "push", "deliver_subject": "work.gpu0.1", "ack_policy": "none", "deliver_policy": "all"}
    async with connect(as_user(server, keys, "reader")) as reader:
        body = msgspec.json.encode({"stream_name": "EVT", "config": config, "action": "create"})
        await reader._requests.request("$JS.API.CONSUMER.CREATE.EVT.push", body)
        await reader.log.last_sequence()
    async with connect(as_user(server, keys, "operator")) as operator:
        assert await operator.work._stream.count() == 0


async def test_without_a_key_nobody_comes_in(server: NatsServer):
    """Nor tries for ever: it is told at once, whether the server's word or the end of the connection comes first."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        with pytest.raises(Unavailable, match="authorization: the server asks for a key, and none is set"):
            async with connect(small_journal(server.url, "gateway", connect_seconds=10 * WAIT_SECONDS_MAX)):
                pass


def test_keys_are_private_made_once_and_of_the_right_kind(tmp_path: Path):
    nats_users.provide_keys(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    nats_users.provide_keys(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert len(set(before.values())) == len(nats_users.users())
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    for seed in before.values():
        assert nkeys.from_seed(bytearray(seed)).public_key.startswith(b"U")
        assert seed.decode() not in nats_users.render(tmp_path)


def test_an_event_written_by_nobody_would_be_noticed():
    written = {writer for sample in SAMPLES for writer in BY_TYPE[type(sample)].writers}
    assert written == {*SERVICES, nats_users.OPERATOR}
