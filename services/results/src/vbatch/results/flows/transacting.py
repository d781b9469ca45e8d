"""One transaction of the projection: decode, fetch what chunks refer to, fold, write the lines, then the rows.

The service and a rebuild from the log use the same code, so that they produce the same rows and bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from vbatch.chassis.blobs import Blobs
from vbatch.chassis.failpoints import Failpoint, reached
from vbatch.contracts import codec, events as e
from vbatch.contracts.answers import removed_bytes, stand_in
from vbatch.contracts.message import Recorded
from vbatch.journal.quarantine import Quarantine, place_of
from vbatch.results.core.impossible_event import ImpossibleEvent
from vbatch.results.core.poison import without_words
from vbatch.results.core.projection import Changes, State, passed, project
from vbatch.results.ports import PartialFiles, ReadModel

TRANSACTION_EVENTS_MAX = 512
TRANSACTION_BYTES_MAX = 4 << 20
BODY_BYTES_MAX = 64 << 20
"""The bound on one answer kept in a blob."""


@dataclass(frozen=True, slots=True)
class Buried:
    """A record that changes nothing, and why."""

    record: Recorded
    reason: str


class Transactions:
    """Transactions on one read model and its folder; `bury` is given the records that change nothing before the rows
    are written."""

    def __init__(
        self,
        read_model: ReadModel,
        partials: PartialFiles,
        blobs: Blobs,
        bury: Callable[[Buried], Awaitable[None]],
    ) -> None:
        self._read_model = read_model
        self._partials = partials
        self._blobs = blobs
        self._set_aside = bury

    async def begin(self) -> State:
        """Return the state at the checkpoint; cut off bytes that a lost transaction left."""
        await self._read_model.prepare()
        state = await self._read_model.load()
        await asyncio.to_thread(self._partials.enter, state.folder)
        await asyncio.to_thread(
            self._partials.cut, {key: batch.row.partial_bytes for key, batch in state.batches.items()}
        )
        return state

    async def apply(self, state: State, records: Sequence[Recorded], decoded: Sequence[e.AnyEvent | Buried]) -> Changes:
        """Fold the records into `state`; write the lines, then the rows; return the changes."""
        after = state.sequence
        changes = await self.folded(state, records, decoded)
        await self._read_model.write(after, changes)
        return changes

    async def folded(
        self, state: State, records: Sequence[Recorded], decoded: Sequence[e.AnyEvent | Buried]
    ) -> Changes:
        """Do the same without writing the rows, which the caller must do next."""
        whole = [await self._with_bodies(event) for event in decoded]
        changes, buried = await asyncio.to_thread(self._fold, state, records, whole)
        reached(Failpoint.LINES_WRITTEN)
        for each in buried:
            await self._set_aside(each)
        return changes

    def _fold(
        self, state: State, records: Sequence[Recorded], decoded: Sequence[e.AnyEvent | Buried]
    ) -> tuple[Changes, list[Buried]]:
        changes, buried = fold(state, records, decoded)
        self._partials.append(changes.growth)
        return changes, buried

    async def _with_bodies(self, event: e.AnyEvent | Buried) -> e.AnyEvent | Buried:
        if isinstance(event, e.ChunkCompleted) and any(outcome.body_blob for outcome in event.outcomes):
            outcomes = [await self._whole(outcome) for outcome in event.outcomes]
            return msgspec.structs.replace(event, outcomes=tuple(outcomes))
        return event

    async def _whole(self, outcome: e.Outcome) -> e.Outcome:
        if outcome.body_blob is None:
            return outcome
        blocks = self._blobs.read_stream(outcome.body_blob, end=BODY_BYTES_MAX)
        body = b"".join([block async for block in blocks])
        size = removed_bytes(body)
        return msgspec.structs.replace(outcome, body=msgspec.Raw(body if size is None else stand_in(size)))


def transactions(records: Sequence[Recorded]) -> Iterator[Sequence[Recorded]]:
    """The records in parts that fit a transaction; a single record may be larger."""
    first = size = 0
    for index, record in enumerate(records):
        is_full = index - first >= TRANSACTION_EVENTS_MAX or size + len(record.body) > TRANSACTION_BYTES_MAX
        if is_full and index > first:
            yield records[first:index]
            first, size = index, 0
        size += len(record.body)
    yield records[first:]


def decode_all(records: Sequence[Recorded], quarantine: Quarantine | None = None) -> list[e.AnyEvent | Buried]:
    """Decode the records. Without a quarantine nothing is set aside."""
    return [_decoded(record, quarantine) for record in records]


def _decoded(record: Recorded, quarantine: Quarantine | None) -> e.AnyEvent | Buried:
    """Decode one record. A poison record counts as unreadable, or as what remains of it without its texts."""
    try:
        event = codec.decode(record)
    except codec.Unreadable as error:
        return Buried(record, str(error))
    if quarantine is None or not quarantine.is_poison(place := place_of(record)):
        return event
    return without_words(event) or Buried(record, quarantine.reason(place))


def fold(
    state: State, records: Sequence[Recorded], decoded: Sequence[e.AnyEvent | Buried]
) -> tuple[Changes, list[Buried]]:
    """Fold all records into `state`; return the changes to write, and the unreadable records and impossible events."""
    changes, buried = Changes(), []
    for record, event in zip(records, decoded, strict=True):
        if isinstance(event, Buried):
            buried.append(event)
        else:
            try:
                project(state, changes, record.sequence, event)
            except ImpossibleEvent as misfit:
                buried.append(Buried(record, str(misfit)))
        passed(state, changes, record.sequence)
    return changes, buried
