"""An event that the read model cannot take is found among those beside it, set aside, and its batch still ends."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from random import Random

import msgspec

from tests.simulation.loop import Lane, SimulatedLoop
from tests.simulation.stores import PartialStore, SimulatedBlobs, Tables, TwinPartials, TwinReadModel
from tests.simulation.weather import Weather
from tests.support.events import BATCH, BATCH_CREATED, BATCH_VALIDATED, CHUNK_COMPLETED, NOON
from vbatch.contracts import codec, events as e
from vbatch.contracts.failures import FileFault
from vbatch.journal.memory import MemoryJournal
from vbatch.journal.quarantine import ENDS_MAX, ForgottenNotes, QuarantineMeans
from vbatch.journal.settings import JournalSettings
from vbatch.journal.single_writer import SingleWriter
from vbatch.results.core.projection import Changes
from vbatch.results.flows.projecting import Projector
from vbatch.results.flows.serving import lease

CALM = Weather(Random(0), is_calm=True)
LANE = Lane("results")
POISON = "no row takes this"
LIVES_MAX = ENDS_MAX + 1
"""One to see that there is something, the others to find it."""
PAUSED = e.BatchPaused(batch_id=BATCH, at=NOON)
REJECTED = e.BatchRejected(
    batch_id=BATCH, faults=(e.BatchFault(code=FileFault.INVALID_METHOD, message=POISON),), at=NOON
)


class PickyReadModel(TwinReadModel):
    """Raises what no retry helps for rows that hold certain words."""

    async def write(self, after: int, changes: Changes) -> None:
        rows = [msgspec.structs.astuple(row) for row in changes.batches.values()] + changes.outcomes
        if POISON in str(rows):
            raise ValueError("a value that the column does not take")
        await super().write(after, changes)


@dataclass
class Stage:
    journal: MemoryJournal = field(
        default_factory=lambda: MemoryJournal(JournalSettings("nats://none", "test"), lambda: NOON)
    )
    tables: Tables = field(default_factory=Tables)
    partials: PartialStore = field(default_factory=dict)
    notes: ForgottenNotes = field(default_factory=ForgottenNotes)

    async def tell(self, *events: e.Event) -> int:
        sequence = 0
        for event in events:
            sequence = await self.journal.log.append(codec.encode(event, source="test"))
        return sequence

    async def life(self, until: int) -> Exception | None:
        """One process, until it has projected so far, or ends by itself."""
        reached = asyncio.Event()
        writer = SingleWriter(self.journal, "results", QuarantineMeans(self.notes))
        await writer.take_lease(lease(1, NOON))
        projector = Projector(
            writer,
            read_model=PickyReadModel(self.tables, LANE, CALM, lambda tables, changes: None),
            partials=TwinPartials(self.partials, CALM),
            blobs=SimulatedBlobs({}, LANE, CALM),
            on_committed=lambda committed: reached.set() if committed.state.sequence >= until else None,
        )
        running, reaching = asyncio.create_task(projector.run()), asyncio.create_task(reached.wait())
        await asyncio.wait({running, reaching}, return_when=asyncio.FIRST_COMPLETED)
        reaching.cancel()
        if not running.done():
            running.cancel()
            return None
        error = running.exception()
        assert isinstance(error, Exception)
        return error

    async def lives(self, until: int) -> int:
        """How many it took."""
        for number in range(1, LIVES_MAX + 2):
            if await self.life(until) is None:
                return number
        raise AssertionError("the crash loop does not end")


def test_the_words_of_a_creation_are_passed_over_and_the_batch_is_there():
    async def story() -> None:
        stage = Stage()
        last = await stage.tell(msgspec.structs.replace(BATCH_CREATED, metadata={"a": POISON}), PAUSED)
        assert await stage.lives(last) <= LIVES_MAX + 1
        row = stage.tables.batches[BATCH]
        assert (row.status, row.metadata, row.paused_at) == ("validating", None, NOON)

    simulated(story())


def test_a_batch_whose_faults_no_row_takes_still_fails():
    async def story() -> None:
        stage = Stage()
        await stage.lives(await stage.tell(BATCH_CREATED, REJECTED))
        row = stage.tables.batches[BATCH]
        assert row.status == "failed" and "dead letters" in (row.errors or "")
        [letter] = await stage.journal.dead.list()
        assert letter.reason.startswith("poison: ") and letter.original.subject.endswith(".rejected")

    simulated(story())


def test_one_chunk_in_a_crowd_is_found_and_the_others_stay():
    async def story() -> None:
        stage = Stage()
        named = [msgspec.structs.replace(outcome, custom_id=POISON) for outcome in CHUNK_COMPLETED.outcomes[:1]]
        chunks = [
            msgspec.structs.replace(CHUNK_COMPLETED, chunk=1, outcomes=CHUNK_COMPLETED.outcomes[1:2]),
            msgspec.structs.replace(CHUNK_COMPLETED, chunk=2, outcomes=tuple(named)),
            msgspec.structs.replace(CHUNK_COMPLETED, chunk=3, outcomes=CHUNK_COMPLETED.outcomes[2:]),
        ]
        await stage.lives(await stage.tell(BATCH_CREATED, BATCH_VALIDATED, *chunks))
        row = stage.tables.batches[BATCH]
        assert sorted(other[1] for other in stage.tables.placed(row.sequence)) == [2, 3]

    simulated(story())


def simulated(story: Coroutine[None, None, None]) -> None:
    loop = SimulatedLoop(Random(1))
    try:
        loop.run_until_complete(story)
    finally:
        loop.end()
