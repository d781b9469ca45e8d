"""Who looks after runners that say nothing: one that asks for orders lives, one that does not is lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from vbatch.contracts import events as e
from vbatch.contracts.ids import RunnerId
from vbatch.contracts.subjects import work
from vbatch.journal.memory import MemoryJournal
from vbatch.journal.settings import JournalSettings
from vbatch.scheduler.core.state.state import State, evolve
from vbatch.scheduler.flows.runner_watch import RunnerWatch

RUNNER = RunnerId("gpu1")
EPOCH = 1


class Place:
    """A watch over one runner, with a clock that is turned by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.journal = MemoryJournal(JournalSettings(url="memory://", name="test"), lambda: self.now)
        self.state = State()
        self.appended: list[e.AnyEvent] = []
        self.watch = RunnerWatch(self.state, self.journal.work, lambda: self.now, self._append, 60.0)
        leased = e.RunnerLeased(runner_id=RUNNER, device="gpu", memory_bytes=1, pid=1, at=self.now)
        evolve(self.state, leased, EPOCH)

    async def _append(self, event: e.AnyEvent) -> None:
        self.appended.append(event)
        evolve(self.state, event, self.state.sequence + 1)

    async def look(self, after_seconds: float) -> None:
        self.now += timedelta(seconds=after_seconds)
        await self.watch.look()


@pytest.fixture
def place() -> Place:
    return Place()


async def test_a_runner_that_waits_for_orders_is_never_lost(place: Place):
    async with place.journal.work.take(work(RUNNER, EPOCH), f"{RUNNER}-{EPOCH}"):
        for _ in range(5):
            await place.look(100)
    assert place.appended == []


async def test_a_runner_that_stopped_asking_is_lost_after_a_silence_and_once(place: Place):
    async with place.journal.work.take(work(RUNNER, EPOCH), f"{RUNNER}-{EPOCH}"):
        await place.look(0)
    await place.look(59)
    assert place.appended == []
    await place.look(2)
    (lost,) = place.appended
    assert isinstance(lost, e.RunnerLost)
    assert (lost.runner_id, lost.epoch, lost.silent_seconds) == (RUNNER, EPOCH, 61.0)
    assert place.state.runners == {}
    await place.look(100)
    assert len(place.appended) == 1


async def test_a_new_scheduler_gives_every_runner_the_whole_silence(place: Place):
    await place.look(0)
    await place.look(59)
    assert place.appended == []
