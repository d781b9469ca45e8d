"""A runner believes in its lease only as long as it has looked at it lately."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from tests.support.events import NOON, RUNNER
from vbatch.contracts.events import RunnerLeased
from vbatch.journal.memory import MemoryJournal
from vbatch.journal.port import Fenced
from vbatch.journal.settings import JournalSettings
from vbatch.journal.single_writer import FRESH_SECONDS, LeaseFreshness, SingleWriter


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def journal() -> MemoryJournal:
    return MemoryJournal(JournalSettings(url="memory://", name="test"), lambda: datetime.now(UTC))


async def acquired(world: MemoryJournal, pid: int) -> SingleWriter:
    writer = SingleWriter(world, "test")
    await writer.take_lease(RunnerLeased(runner_id=RUNNER, device="cpu", memory_bytes=1, pid=pid, at=NOON))
    return writer


async def test_after_a_long_sleep_the_lease_is_not_believed_until_it_was_looked_at():
    clock, looked, writer = Clock(), asyncio.Event(), await acquired(journal(), 1)
    freshness = LeaseFreshness(looked.set, clock)
    clock.seconds += FRESH_SECONDS
    assert not freshness.is_fresh()
    waiting, keeping = asyncio.create_task(freshness.until_fresh()), asyncio.create_task(freshness.keep(writer))
    await looked.wait()
    assert freshness.is_fresh()
    await waiting
    keeping.cancel()


async def test_a_newer_lease_ends_the_looking():
    world = journal()
    older = await acquired(world, 1)
    await acquired(world, 2)
    with pytest.raises(Fenced):
        await LeaseFreshness(lambda: None, Clock()).keep(older)
