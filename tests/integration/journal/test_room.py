"""A log without room: those who wait for it go on when there is some again, and nothing is lost or stored twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from tests.support.journal import event, ids, lease, read
from tests.support.nats import NatsServer, small_journal
from vbatch.journal.jetstream import connect
from vbatch.journal.jetstream.journal import JetStreamJournal
from vbatch.journal.port import Conflict, Full
from vbatch.journal.settings import MIB, JournalSettings

WAIT_SECONDS = 20.0


@pytest.fixture
def patient(nats: NatsServer) -> JournalSettings:
    return small_journal(nats.url, "writer", log_bytes_max=MIB, waits_for_space=True, space_retry_seconds=0.05)


@pytest.fixture
async def journal(patient: JournalSettings) -> AsyncIterator[JetStreamJournal]:
    async with connect(patient) as journal:
        await journal.topology()
        yield journal


async def make_room(patient: JournalSettings) -> None:
    """As an operator does who raises the limit; `small_journal` has the room for it."""
    async with connect(replace(patient, name="operator", log_bytes_max=64 * MIB)) as operator:
        await operator.topology()


async def until_refused(journal: JetStreamJournal) -> str:
    refused: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    journal.waiting_writes.watch(
        lambda refusal: None if refusal is None or refused.done() else refused.set_result(refusal)
    )
    if journal.waiting_writes.refusal is not None:
        return journal.waiting_writes.refusal
    return await asyncio.wait_for(refused, WAIT_SECONDS)


async def test_a_patient_append_waits_and_then_goes_on(journal: JetStreamJournal, patient: JournalSettings):
    told: list[str | None] = []
    journal.waiting_writes.watch(told.append)
    await journal.log.append(event("e1", b"x" * 600_000))
    waiting = asyncio.create_task(journal.log.append(event("e2", b"x" * 600_000)))
    assert "maximum bytes" in await until_refused(journal)
    await make_room(patient)
    assert await asyncio.wait_for(waiting, WAIT_SECONDS) == 2
    assert [refusal is None for refusal in told] == [False, True]
    assert journal.waiting_writes.refusal is None


async def test_a_patient_publisher_stores_everything_once(journal: JetStreamJournal, patient: JournalSettings):
    mine, stored = await journal.log.acquire(lease("l1")), list[int]()
    messages = [event(f"e{n}", b"x" * (400_000 if n % 5 == 0 else 2_000)) for n in range(40)]
    async with asyncio.timeout(WAIT_SECONDS), journal.publisher(mine) as publisher:

        async def publish() -> None:
            for message in messages:
                await publisher.publish(message, stored.append)

        publishing = asyncio.create_task(publish())
        await until_refused(journal)
        await make_room(patient)
        await publishing
        await publisher.flush()
        async with journal.log.tail(mine.epoch) as tail:
            found = await read(tail, 40)
    assert sorted(ids(found)) == sorted(f"e{n}" for n in range(40))
    assert len(stored) == 40
    assert await journal.log.last_sequence() == mine.epoch + 40


async def test_what_fits_behind_a_refused_message_is_not_sent_again(
    journal: JetStreamJournal, patient: JournalSettings
):
    async with asyncio.timeout(WAIT_SECONDS), journal.publisher() as publisher:
        for n, size in enumerate((900_000, 300_000, 1_000, 1_000)):
            await publisher.publish(event(f"e{n}", b"x" * size))
        await until_refused(journal)
        await make_room(patient)
        await publisher.flush()
    async with journal.log.tail(0) as tail:
        assert ids(await read(tail, 4)) == ["e0", "e2", "e3", "e1"]


async def test_a_waiting_writer_is_still_fenced(journal: JetStreamJournal, patient: JournalSettings):
    mine = await journal.log.acquire(lease("l1"))
    await journal.log.append(event("e1", b"x" * 600_000), mine.guard())
    waiting = asyncio.create_task(journal.log.append(event("e2", b"x" * 600_000), mine.guard()))
    await until_refused(journal)
    await make_room(patient)
    async with connect(replace(patient, name="newer")) as newer:
        try:
            await newer.log.acquire(lease("l2"))
        finally:
            done = await asyncio.gather(waiting, return_exceptions=True)
    assert isinstance(done[0], Conflict | int), "it either came first or was refused as a zombie"


async def test_nothing_is_written_when_the_disk_of_the_store_is_almost_full(
    nats: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The disk is told to be full here; tests/integration/local/test_full_disks.py has real ones."""
    settings = small_journal(nats.url, store_folder=tmp_path, store_free_bytes_min=MIB)
    async with connect(settings) as journal:
        await journal.topology()
        await journal.log.append(event("e1"))
        full = SimpleNamespace(f_bavail=10, f_frsize=4096)
        monkeypatch.setattr("vbatch.journal.space_wait.os.statvfs", lambda _folder: full)
        with pytest.raises(Full, match="40960 bytes free"):
            await journal.log.append(event("e2"))
        with pytest.raises(Full):
            await journal.log.append_all([event("e3"), event("e4")])
        with pytest.raises(Full):
            async with journal.publisher() as publisher:
                await publisher.publish(event("e5"))
        assert await journal.log.last_sequence() == 1
        assert msgspec.json.encode(journal.waiting_writes.refusal) == b"null", "who does not wait is told at once"


async def test_the_log_tells_how_full_it_is(journal: JetStreamJournal):
    assert (await journal.log.fill()).bytes_max == MIB
    await journal.log.append(event("e1", b"x" * 600_000))
    assert 600_000 <= (await journal.log.fill()).bytes < 610_000
