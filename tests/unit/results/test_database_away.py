"""However long PostgreSQL was away: results works again within a second or so of its return. Time is simulated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from random import Random

import pytest

from tests.simulation.loop import Lane, SimulatedLoop
from tests.simulation.stores import SimulatedBlobs, Tables, TwinPartials, TwinReadModel
from tests.simulation.weather import Weather
from tests.support.events import BATCH, BATCH_CREATED, NOON
from vbatch.contracts import codec, events as e
from vbatch.journal.memory import MemoryJournal
from vbatch.journal.settings import JournalSettings
from vbatch.journal.single_writer import SingleWriter
from vbatch.results.core.projection import State
from vbatch.results.flows.projecting import Projector
from vbatch.results.flows.sealing import Sealer
from vbatch.results.flows.serving import lease
from vbatch.results.flows.transacting import decode_all, fold
from vbatch.results.ports import Trouble

LATE_SECONDS_MAX = 1.1
AWAY_SECONDS = (0.1, 3.1, 30.0)
POLL_SECONDS = 0.01
CALM = Weather(Random(0), is_calm=True)
LANE = Lane("results")
CANCELLED: tuple[e.AnyEvent, ...] = (
    BATCH_CREATED,
    e.BatchCancelRequested(batch_id=BATCH, at=NOON),
    e.BatchFinalizing(batch_id=BATCH, ending=e.Ending.CANCELLED, never_ran_count=0, at=NOON),
)
"""A batch that ends without files."""


class ReturningReadModel(TwinReadModel):
    """Does not answer before `back_at`, in seconds of the loop."""

    back_at = 0.0

    async def _turn(self) -> None:
        if asyncio.get_running_loop().time() < self.back_at:
            raise Trouble("the database system is in recovery mode")


@dataclass
class Stage:
    journal: MemoryJournal = field(
        default_factory=lambda: MemoryJournal(JournalSettings("nats://none", "test"), lambda: NOON)
    )
    tables: Tables = field(default_factory=Tables)
    ends: list[e.BatchSealed] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.read_model = ReturningReadModel(self.tables, LANE, CALM, lambda tables, changes: None)
        self.partials = TwinPartials({}, CALM)
        self.blobs = SimulatedBlobs({}, LANE, CALM)

    async def tell(self, *events: e.AnyEvent) -> int:
        sequence = 0
        for event in events:
            sequence = await self.journal.log.append(codec.encode(event, source="test"))
        return sequence

    async def writer(self) -> SingleWriter:
        writer = SingleWriter(self.journal, "results")
        await writer.take_lease(lease(1, NOON))
        return writer

    async def projector(self) -> Projector:
        return Projector(
            await self.writer(),
            read_model=self.read_model,
            partials=self.partials,
            blobs=self.blobs,
            on_committed=lambda committed: None,
        )

    async def sealer(self) -> Sealer:
        return Sealer(
            await self.writer(),
            read_model=self.read_model,
            partials=self.partials,
            blobs=self.blobs,
            now=lambda: NOON,
            on_sealed=lambda event, size: self.ends.append(event),
        )

    async def project(self) -> State:
        """What the log holds, into the tables at once."""
        async with self.journal.log.tail(0) as arrivals:
            records = await anext(arrivals)
        state = State()
        changes, _ = fold(state, records, decode_all(records))
        self.tables.apply(changes)
        return state

    def go_away(self, seconds: float) -> None:
        self.read_model.back_at = asyncio.get_running_loop().time() + seconds

    async def late_by(self, is_so: Callable[[], bool]) -> float:
        """The seconds from the database's return until it is so."""
        while True:
            if is_so():
                return asyncio.get_running_loop().time() - self.read_model.back_at
            await asyncio.sleep(POLL_SECONDS)


@pytest.mark.parametrize("away_seconds", AWAY_SECONDS)
def test_the_projection_goes_on_soon_after_the_database_is_back(away_seconds: float):
    async def story() -> float:
        stage = Stage()
        projector = await stage.projector()
        projecting = asyncio.create_task(projector.run())
        first = await stage.tell(BATCH_CREATED)
        await stage.late_by(lambda: stage.tables.sequence == first)
        stage.go_away(away_seconds)
        second = await stage.tell(e.BatchPaused(batch_id=BATCH, at=NOON))
        late = await stage.late_by(lambda: stage.tables.sequence == second and projector.trouble is None)
        projecting.cancel()
        return late

    assert simulated(story()) < LATE_SECONDS_MAX


@pytest.mark.parametrize("away_seconds", AWAY_SECONDS)
def test_a_batch_is_sealed_soon_after_the_database_is_back(away_seconds: float):
    async def story() -> float:
        stage = Stage()
        await stage.tell(*CANCELLED)
        sealer = await stage.sealer()
        sealer.offer(await stage.project())
        stage.go_away(away_seconds)
        sealing = asyncio.create_task(sealer.run())
        late = await stage.late_by(lambda: bool(stage.ends) and not sealer.trouble)
        sealing.cancel()
        return late

    assert simulated(story()) < LATE_SECONDS_MAX


def simulated(story: Coroutine[None, None, float]) -> float:
    loop = SimulatedLoop(Random(1))
    try:
        return loop.run_until_complete(story)
    finally:
        loop.end()
