"""A read model that is being filled from the log: its inputs, its progress and its result.

Nothing becomes a dead letter here: the service that first projected these events has done that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from time import perf_counter

from vbatch.chassis.blobs import Blobs
from vbatch.chassis.logs import get_logger
from vbatch.contracts.message import Recorded
from vbatch.journal.port import Journal
from vbatch.journal.quarantine import Quarantine, QuarantineMeans
from vbatch.results.core.projection import State
from vbatch.results.flows.transacting import Buried, Transactions, decode_all, transactions
from vbatch.results.ports import Difference, Generations, PartialFiles, ReadModel

PROJECTING_AGAIN_SECONDS = 60.0


@dataclass(frozen=True)
class Progress:
    """The progress of the replay; `end` is where it will stop for now."""

    sequence: int
    end: int
    outcomes: int
    seconds: float


@dataclass(frozen=True)
class ReplayDependencies:
    """What a rebuild works with. `open_model` returns a read model of its own in a schema and folder."""

    journal: Journal
    generations: Generations
    open_model: Callable[[str, str], AbstractAsyncContextManager[ReadModel]]
    partials: Callable[[], PartialFiles]
    blobs: Blobs
    folder: Path
    pid: int
    now: Callable[[], datetime]
    on_progress: Callable[[Progress], None]
    means: QuarantineMeans = field(default_factory=QuarantineMeans)
    """Uses the notes of the service: what the service set aside is also set aside here."""
    projecting_again_seconds: float = PROJECTING_AGAIN_SECONDS


@dataclass
class Report:
    """The result of a rebuild. `differences` holds the first ones, `difference_count` counts all."""

    schema: str
    folder: str
    sequence: int = 0
    outcomes: int = 0
    seconds: float = 0.0
    is_compared: bool = False
    difference_count: int = 0
    differences: list[Difference] = field(default_factory=list)
    unverified: list[str] = field(default_factory=list)
    is_served: bool = False
    is_projected: bool = False


class Replay:
    """A read model that is being filled from the log."""

    def __init__(
        self, shop: ReplayDependencies, read_model: ReadModel, partials: PartialFiles, state: State, report: Report
    ) -> None:
        self.read_model = read_model
        self.partials = partials
        self.state = state
        self.report = report
        self._shop = shop
        self._quarantine = Quarantine(shop.journal.dead, shop.means)
        self._writing: asyncio.Task[None] | None = None
        self._transactions = Transactions(read_model, partials, shop.blobs, _pass_over)

    async def to(self, end: int) -> None:
        """Replay up to and including sequence `end`."""
        if self.state.sequence >= end:
            return
        started, before = perf_counter(), self.report.seconds
        try:
            async with self._shop.journal.log.tail(self.state.sequence) as arrivals:
                async for records in arrivals:
                    if wanted := [record for record in records if record.sequence <= end]:
                        await self._take(wanted)
                        self.report.seconds = before + perf_counter() - started
                        self._report_progress(end)
                    if records[-1].sequence >= end:
                        return
        finally:
            await self._written()
            self.report.seconds = before + perf_counter() - started

    async def _take(self, records: Sequence[Recorded]) -> None:
        """While the rows of one transaction are written, the next is decoded and folded: the database is another
        process, and its disk is slow."""
        for part in transactions(records):
            decoded = await asyncio.to_thread(decode_all, part, self._quarantine)
            after = self.state.sequence
            changes = await self._transactions.folded(self.state, part, decoded)
            await self._written()
            self._writing = asyncio.create_task(self.read_model.write(after, changes))
            self.report.outcomes += len(changes.outcomes)
        self.report.sequence = self.state.sequence

    async def _written(self) -> None:
        """Wait for the rows that are being written. Raises the errors of writing them."""
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing

    def _report_progress(self, end: int) -> None:
        report = self.report
        self._shop.on_progress(Progress(report.sequence, end, report.outcomes, report.seconds))


@asynccontextmanager
async def opened(shop: ReplayDependencies, report: Report) -> AsyncIterator[Replay]:
    """A replay that continues at the checkpoint of the report's schema and folder."""
    partials = shop.partials()
    async with shop.open_model(report.schema, report.folder) as read_model:
        state = await Transactions(read_model, partials, shop.blobs, _pass_over).begin()
        yield Replay(shop, read_model, partials, state, report)


async def _pass_over(buried: Buried) -> None:
    get_logger().warning("event_passed_over", sequence=buried.record.sequence, reason=buried.reason)
