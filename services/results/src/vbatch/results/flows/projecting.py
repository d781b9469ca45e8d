"""Follows the log from the checkpoint: reads, folds and writes it in bounded transactions, without end.

After any trouble the state in memory is dropped and loaded again from the checkpoint: there is no other way to recover.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter

from vbatch.chassis.backoff import Backoff
from vbatch.chassis.blobs import Blobs
from vbatch.chassis.failpoints import Failpoint, reached
from vbatch.chassis.logs import get_logger
from vbatch.contracts.message import Recorded
from vbatch.journal.port import Rejected
from vbatch.journal.quarantine import place_of
from vbatch.journal.single_writer import SingleWriter
from vbatch.results.core.projection import Changes, State
from vbatch.results.flows.retrying import ASK_SECONDS_MAX, FIRST_SECONDS, PASSING, WORK_SECONDS_MAX
from vbatch.results.flows.transacting import TRANSACTION_EVENTS_MAX, Buried, Transactions, decode_all, transactions
from vbatch.results.ports import PartialFiles, ReadModel

GATHER_SECONDS = 0.05
"""The pause after a transaction of answers alone: a fast device sends some while a commit is still in progress."""
ANSWERS = (".chunk_completed", ".dispatched", ".slice_returned")
"""The endings of the subjects of events that occur many times in a batch's life."""


@dataclass(frozen=True, slots=True)
class Committed:
    """What one transaction did; `state` includes its last event."""

    state: State
    changes: Changes
    event_count: int
    body_bytes: int
    seconds: float
    first_recorded_at: datetime | None = None
    """When the log stored the first of its events."""


class Projector:
    """Projects the log. `trouble` is what currently stops it; None while it works."""

    def __init__(
        self,
        writer: SingleWriter,
        *,
        read_model: ReadModel,
        partials: PartialFiles,
        blobs: Blobs,
        on_committed: Callable[[Committed], None],
    ) -> None:
        self._quarantine = writer.quarantine
        self._careful_until = _sequence_of(writer.quarantine.last_place)
        self._journal = writer.journal
        self._transactions = Transactions(read_model, partials, blobs, self._set_aside)
        self._on_committed = on_committed
        self._backoff = Backoff(FIRST_SECONDS, WORK_SECONDS_MAX)
        self.trouble: str | None = "not started"

    async def run(self) -> None:
        """Project until cancelled, waiting while an error passes. Raises CheckpointMoved, ReadModelMismatch."""
        while True:
            state = await self._begun()
            try:
                await self._follow(state)
            except PASSING as error:
                self._hold_up(error)
            await asyncio.sleep(self._backoff.seconds())

    async def _begun(self) -> State:
        """The state at the checkpoint, as soon as the database can be read."""
        backoff = Backoff(FIRST_SECONDS, ASK_SECONDS_MAX)
        while True:
            try:
                return await self._transactions.begin()
            except PASSING as error:
                self._hold_up(error)
            await asyncio.sleep(backoff.seconds())

    def _hold_up(self, error: Exception) -> None:
        self.trouble = f"{type(error).__name__}: {error}"
        get_logger().warning("projection_interrupted", reason=self.trouble)

    async def _follow(self, state: State) -> None:
        get_logger().info("projection_started", after=state.sequence, open_batches=len(state.batches))
        self._on_committed(Committed(state, Changes(), 0, 0, 0.0))
        self.trouble = None
        async with self._journal.log.tail(state.sequence) as arrivals:
            async for records in arrivals:
                for part in self._transactions_of(records):
                    await self._transact(state, part)
                self._backoff.reset()
                if _are_answers(part):
                    await asyncio.sleep(GATHER_SECONDS)

    def _transactions_of(self, records: Sequence[Recorded]) -> Iterator[Sequence[Recorded]]:
        """As many records at once as allowed, but one by one at the place where the last process ended, to find the one
        at fault."""
        careful = [record for record in records if record.sequence <= self._careful_until]
        yield from ([record] for record in careful)
        if rest := records[len(careful) :]:
            yield from transactions(rest)

    async def _transact(self, state: State, records: Sequence[Recorded]) -> None:
        for record in records:
            if self._quarantine.is_poison(place := place_of(record)):
                await self._quarantine.bury(record, place)
        with self._quarantine.watch(place_of(records[-1])):
            await self._project(state, records)

    async def _project(self, state: State, records: Sequence[Recorded]) -> None:
        started = perf_counter()
        decoded = await asyncio.to_thread(decode_all, records, self._quarantine)
        changes = await self._transactions.apply(state, records, decoded)
        reached(Failpoint.ROWS_COMMITTED)
        body_bytes = sum(len(record.body) for record in records)
        self._on_committed(
            Committed(state, changes, len(records), body_bytes, perf_counter() - started, records[0].recorded_at)
        )

    async def _set_aside(self, buried: Buried) -> None:
        record = buried.record
        get_logger().error("event_buried", sequence=record.sequence, subject=record.subject, reason=buried.reason)
        try:
            await self._journal.dead.append(record, buried.reason)
        except Rejected as error:
            # Too large for a dead letter. It stays in EVT, and must not stop the projection.
            get_logger().error("burial_refused", sequence=record.sequence, reason=str(error))


def _sequence_of(place: str) -> int:
    """The sequence of the event at which the previous process ended; 0 if it ended elsewhere."""
    kind, _, sequence = place.partition(":")
    return int(sequence) if kind == "log" and sequence.isdecimal() else 0


def _are_answers(records: Sequence[Recorded]) -> bool:
    """Whether these are only answers, and few: no process waits to read them back, and the projection keeps up."""
    return len(records) < TRANSACTION_EVENTS_MAX // 4 and all(record.subject.endswith(ANSWERS) for record in records)
