"""Follows the log from the checkpoint: reads, folds and writes it in bounded transactions, for ever.

After any trouble what is in memory is dropped and loaded again from the checkpoint: there is no other way to recover.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter

import msgspec

from vbatch.chassis.blobs import Blobs
from vbatch.chassis.logs import get_logger
from vbatch.contracts import codec
from vbatch.contracts import events as e
from vbatch.contracts.message import Recorded
from vbatch.journal.port import Journal, Lease, Rejected
from vbatch.results.core.misfit import Misfit
from vbatch.results.core.projection import Changes, State, passed, project
from vbatch.results.flows.retrying import PASSING, Backoff
from vbatch.results.ports import PartialFiles, ReadModel

TRANSACTION_EVENTS_MAX = 512
TRANSACTION_BYTES_MAX = 4 << 20
BODY_BYTES_MAX = 64 << 20
"""Of one answer kept in a blob."""


class Fenced(Exception):
    """A newer results process has taken the lease."""


@dataclass(frozen=True, slots=True)
class Buried:
    """A record that changes nothing, and why."""

    record: Recorded
    reason: str


@dataclass(frozen=True, slots=True)
class Committed:
    """What one transaction did; `state` is as of its last event."""

    state: State
    changes: Changes
    event_count: int
    body_bytes: int
    seconds: float


class Projector:
    """`trouble` is what keeps it from going on, None while it does."""

    def __init__(
        self,
        journal: Journal,
        lease: Lease,
        *,
        read_model: ReadModel,
        partials: PartialFiles,
        blobs: Blobs,
        on_committed: Callable[[Committed], None],
    ) -> None:
        self._journal = journal
        self._lease = lease
        self._read_model = read_model
        self._partials = partials
        self._blobs = blobs
        self._on_committed = on_committed
        self._backoff = Backoff()
        self.trouble: str | None = "not started"

    async def run(self) -> None:
        """Raises Fenced, CheckpointMoved, ReadModelMismatch; trouble that passes is waited for."""
        while True:
            try:
                await self._follow()
            except PASSING as error:
                self.trouble = f"{type(error).__name__}: {error}"
                get_logger().warning("projection_interrupted", reason=self.trouble)
            await asyncio.sleep(self._backoff.seconds())

    async def _follow(self) -> None:
        await self._read_model.prepare()
        state = await self._read_model.load()
        await asyncio.to_thread(self._partials.cut, {key: it.row.partial_bytes for key, it in state.batches.items()})
        get_logger().info("projection_started", after=state.sequence, open_batches=len(state.batches))
        self._on_committed(Committed(state, Changes(), 0, 0, 0.0))
        self.trouble = None
        async with self._journal.log.tail(state.sequence) as arrivals:
            async for records in arrivals:
                for part in transactions(records):
                    await self._transact(state, part)
                self._backoff.reset()

    async def _transact(self, state: State, records: Sequence[Recorded]) -> None:
        started, after = perf_counter(), state.sequence
        decoded = await asyncio.to_thread(decode_all, records)
        self._must_not_be_fenced(records, decoded)
        await self._fetch_bodies(decoded)
        changes, buried = await asyncio.to_thread(self._fold, state, records, decoded)
        for each in buried:
            await self._bury(each)
        await self._read_model.write(after, changes)
        body_bytes = sum(len(record.body) for record in records)
        self._on_committed(Committed(state, changes, len(records), body_bytes, perf_counter() - started))

    def _fold(
        self, state: State, records: Sequence[Recorded], decoded: Sequence[e.Event | Buried]
    ) -> tuple[Changes, list[Buried]]:
        changes, buried = fold(state, records, decoded)
        self._partials.append(changes.growth)
        return changes, buried

    async def _bury(self, buried: Buried) -> None:
        record = buried.record
        get_logger().error("event_buried", sequence=record.sequence, subject=record.subject, reason=buried.reason)
        try:
            await self._journal.dead.append(record, buried.reason)
        except Rejected as error:
            # Too large to be buried. It stays where it is, in EVT; it must not stop the projection for ever.
            get_logger().error("burial_refused", sequence=record.sequence, reason=str(error))

    def _must_not_be_fenced(self, records: Sequence[Recorded], decoded: Sequence[e.Event | Buried]) -> None:
        for record, event in zip(records, decoded, strict=True):
            if isinstance(event, e.ResultsLeased) and record.sequence > self._lease.epoch:
                raise Fenced(f"process {event.pid} took the lease at {record.sequence}")

    async def _fetch_bodies(self, decoded: list[e.Event | Buried]) -> None:
        for index, event in enumerate(decoded):
            if isinstance(event, e.ChunkCompleted) and any(outcome.body_blob for outcome in event.outcomes):
                outcomes = [await self._whole(outcome) for outcome in event.outcomes]
                decoded[index] = msgspec.structs.replace(event, outcomes=tuple(outcomes))

    async def _whole(self, outcome: e.Outcome) -> e.Outcome:
        if outcome.body_blob is None:
            return outcome
        body = bytearray()
        async for block in self._blobs.read_stream(outcome.body_blob, end=BODY_BYTES_MAX):
            body += block
        return msgspec.structs.replace(outcome, body=msgspec.Raw(bytes(body)))


def transactions(records: Sequence[Recorded]) -> Iterator[Sequence[Recorded]]:
    """The records in parts that a transaction can take; a single one may be larger."""
    first = size = 0
    for index, record in enumerate(records):
        is_full = index - first >= TRANSACTION_EVENTS_MAX or size + len(record.body) > TRANSACTION_BYTES_MAX
        if is_full and index > first:
            yield records[first:index]
            first, size = index, 0
        size += len(record.body)
    yield records[first:]


def decode_all(records: Sequence[Recorded]) -> list[e.Event | Buried]:
    decoded: list[e.Event | Buried] = []
    for record in records:
        try:
            decoded.append(codec.decode(record))
        except codec.Unreadable as error:
            decoded.append(Buried(record, str(error)))
    return decoded


def fold(
    state: State, records: Sequence[Recorded], decoded: Sequence[e.Event | Buried]
) -> tuple[Changes, list[Buried]]:
    """All of them into `state`; the changes to write, and what was unreadable or misfit."""
    changes, buried = Changes(), []
    for record, event in zip(records, decoded, strict=True):
        if isinstance(event, Buried):
            buried.append(event)
        else:
            try:
                project(state, changes, record.sequence, event)
            except Misfit as misfit:
                buried.append(Buried(record, str(misfit)))
        passed(state, changes, record.sequence)
    return changes, buried
