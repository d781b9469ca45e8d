"""When a standby takes over: on heartbeats over a real nats-server, which may go away itself."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.events import NOON
from tests.support.nats import NatsServer, small_journal
from vbatch.contracts.codec import encode
from vbatch.contracts.events import SchedulerLeased
from vbatch.journal.jetstream import connect
from vbatch.journal.port import Journal
from vbatch.journal.single_writer import keep_beating, standby, until_silent
from vbatch.journal.single_writer.standby import Silence

SILENCE_SECONDS = 1.0
LEASE = "evt.scheduler.main.lease"


@pytest.fixture(autouse=True)
def _short_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standby, "SILENCE_SECONDS", SILENCE_SECONDS)


async def until_connected(journal: Journal) -> None:
    while not journal.is_connected:  # noqa: ASYNC110  # nobody tells
        await asyncio.sleep(0.05)


def lease(pid: int) -> SchedulerLeased:
    return SchedulerLeased(scheduler_id="main", pid=pid, at=NOON)


def test_silence_is_counted_from_the_last_heartbeat():
    silence = Silence(since=10.0)
    silence.heard(20.0)
    assert not silence.is_too_long(20.0 + SILENCE_SECONDS - 0.01)
    assert silence.is_too_long(20.0 + SILENCE_SECONDS)


async def test_a_standby_waits_while_it_hears_the_other_process_and_no_longer(nats: NatsServer):
    settings = small_journal(nats.url, "scheduler")
    async with connect(settings) as first, connect(settings) as second:
        await first.topology()
        await first.log.acquire(encode(lease(1), source="scheduler"))
        beating = asyncio.create_task(keep_beating(first.heartbeats))
        waiting = asyncio.create_task(until_silent(second.heartbeats, second.log, LEASE))
        await asyncio.sleep(2 * SILENCE_SECONDS)
        assert not waiting.done()
        beating.cancel()
        async with asyncio.timeout(5 * SILENCE_SECONDS):
            await waiting


async def test_the_absence_of_the_log_is_not_the_silence_of_a_process(nats: NatsServer):
    settings = small_journal(nats.url, "scheduler")
    async with connect(settings) as first, connect(settings) as second:
        await first.topology()
        beating = asyncio.create_task(keep_beating(first.heartbeats))
        waiting = asyncio.create_task(until_silent(second.heartbeats, second.log, LEASE))
        await asyncio.sleep(0.5)
        nats.kill()
        await asyncio.sleep(1.5 * SILENCE_SECONDS)
        assert not waiting.done()
        await nats.start()
        await until_connected(first)
        beating.cancel()
        async with asyncio.timeout(10 * SILENCE_SECONDS):
            await waiting


async def test_of_two_standbys_one_takes_over_and_the_other_sees_its_lease(nats: NatsServer):
    settings = small_journal(nats.url, "scheduler")
    async with connect(settings) as first, connect(settings) as second:
        await first.topology()
        waiting = asyncio.create_task(until_silent(second.heartbeats, second.log, LEASE))
        await asyncio.sleep(SILENCE_SECONDS / 2)
        await first.log.acquire(encode(lease(1), source="scheduler"))
        await asyncio.sleep(SILENCE_SECONDS)
        assert not waiting.done()
        waiting.cancel()


@pytest.mark.parametrize("stranger", ["gateway", "results"])
async def test_the_heartbeats_of_another_service_are_not_those_of_this_one(nats: NatsServer, stranger: str):
    async with (
        connect(small_journal(nats.url, stranger)) as other,
        connect(small_journal(nats.url, "scheduler")) as waiting,
    ):
        await other.topology()
        beating = asyncio.create_task(keep_beating(other.heartbeats))
        async with asyncio.timeout(5 * SILENCE_SECONDS):
            await until_silent(waiting.heartbeats, waiting.log, LEASE)
        beating.cancel()
