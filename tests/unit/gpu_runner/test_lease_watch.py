"""A runner believes in its lease only as long as it has looked at it lately."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from tests.support.events import NOON, RUNNER
from vbatch.contracts.codec import encode
from vbatch.contracts.events import RunnerLeased
from vbatch.gpu_runner.flows.change_signal import ChangeSignal
from vbatch.gpu_runner.flows.lease_watch import FRESH_SECONDS, LeaseWatch
from vbatch.journal.memory import MemoryJournal
from vbatch.journal.port import Conflict, Lease
from vbatch.journal.settings import JournalSettings


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def journal() -> MemoryJournal:
    return MemoryJournal(JournalSettings(url="memory://", name="test"), lambda: datetime.now(UTC))


async def acquired(world: MemoryJournal, pid: int) -> Lease:
    leased = RunnerLeased(runner_id=RUNNER, device="cpu", memory_bytes=1, pid=pid, at=NOON)
    return await world.log.acquire(encode(leased, source="test"))


async def test_after_a_long_sleep_the_lease_is_not_believed_until_it_was_looked_at():
    clock, changed, world = Clock(), ChangeSignal(), journal()
    lease = await acquired(world, 1)
    watch = LeaseWatch(changed, clock)
    clock.seconds += FRESH_SECONDS
    assert not watch.is_fresh()
    keeping = asyncio.create_task(watch.keep(world.log, lease))
    await changed.wait()
    assert watch.is_fresh()
    keeping.cancel()


async def test_a_newer_lease_ends_the_watch():
    world = journal()
    older = await acquired(world, 1)
    await acquired(world, 2)
    with pytest.raises(ExceptionGroup) as caught:
        await LeaseWatch(ChangeSignal(), Clock()).keep(world.log, older)
    assert caught.group_contains(Conflict)
