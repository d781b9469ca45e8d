"""The event log for one owner: pages of what has happened, and a stream of what happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta

import msgspec

from vbatch.contracts import events as e
from vbatch.contracts.codec import Unreadable, decode_outline
from vbatch.contracts.ids import BatchId, OwnerId
from vbatch.contracts.message import Recorded
from vbatch.gateway.core.event_log import (
    CHUNK,
    NAMES_ITS_OWNER,
    OF_THE_SERVER,
    EventsParams,
    ShownEvent,
    kind_of,
    owner_named_in,
    shown,
    subject_filter,
)
from vbatch.gateway.flows.batches import find_batch
from vbatch.gateway.flows.live_events import LiveEvent
from vbatch.gateway.ports import Dependencies

WINDOW_EVENTS = 1_000
WINDOWS_MAX = 20
"""The most windows of the log that one page reads; `next_before` continues it."""
KNOWN_OWNERS_MAX = 10_000
SETTLED_SECONDS = 60
"""A batch that cannot be read this long after one of its events belongs to another owner."""


@dataclass(frozen=True, slots=True)
class Ownership:
    """Which batches belong to which owner, remembered between requests."""

    _known: dict[tuple[OwnerId, str], bool] = field(default_factory=dict)

    async def is_owned(self, dependencies: Dependencies, owner: OwnerId, record: Recorded) -> bool:
        batch_id = record.subject.split(".")[2]
        known = self._known.get((owner, batch_id))
        if known is not None:
            return known
        is_owned = await dependencies.reads.batch(owner, BatchId(batch_id)) is not None
        if is_owned or dependencies.now() - record.recorded_at > timedelta(seconds=SETTLED_SECONDS):
            self.note(owner, batch_id, is_owned=is_owned)
        return is_owned

    def note(self, owner: OwnerId, batch_id: str, *, is_owned: bool) -> None:
        if len(self._known) >= KNOWN_OWNERS_MAX:
            self._known.pop(next(iter(self._known)))
        self._known[(owner, batch_id)] = is_owned


@dataclass(frozen=True, slots=True)
class Found:
    """Newest first; `next_before` is None when the log holds nothing older."""

    events: list[ShownEvent]
    next_before: int | None


async def event_page(dependencies: Dependencies, ownership: Ownership, owner: OwnerId, params: EventsParams) -> Found:
    """Return a page of events. Raises Refusal for a batch that does not exist."""
    if params.batch_id is not None:
        return await _page_of_batch(dependencies, owner, params.batch_id, params)
    upper = min(params.before, await dependencies.log.last_sequence() + 1)
    events: list[ShownEvent] = []
    for _ in range(WINDOWS_MAX):
        lower = max(1, upper - WINDOW_EVENTS)
        if upper <= 1 or len(events) >= params.limit:
            break
        heads = [record for record in await _headers(dependencies, lower, upper) if params.wants(record)]
        events += await _visible(dependencies, ownership, owner, heads[::-1], params.limit - len(events))
        upper = events[-1].sequence if len(events) >= params.limit else lower
    return Found(events, upper if upper > 1 else None)


async def _page_of_batch(dependencies: Dependencies, owner: OwnerId, batch_id: str, params: EventsParams) -> Found:
    batch = await find_batch(dependencies, owner, batch_id)
    subjects = [subject_filter(kind, batch.id) for kind in params.kinds if kind.aggregate == "batch"]
    newest = [record.sequence for record in await _last_of(dependencies, subjects) if record is not None]
    if not newest:
        return Found([], None)
    heads = await _until(dependencies, batch.sequence - 1, max(newest), subjects, headers_only=True)
    older = [record for record in heads if record.sequence < params.before]
    wanted = older[-params.limit :][::-1]
    events = [shown(record, event) for record, event in await _decoded(dependencies, wanted)]
    return Found(events, wanted[-1].sequence if len(older) > len(wanted) else None)


async def _visible(
    dependencies: Dependencies, ownership: Ownership, owner: OwnerId, heads: Sequence[Recorded], most: int
) -> list[ShownEvent]:
    """Return the events that the owner may see, newest first."""
    events: list[ShownEvent] = []
    for first in range(0, len(heads), max(1, most)):
        candidates = [
            head for head in heads[first : first + most] if await _may_see(dependencies, ownership, owner, head)
        ]
        for record, event in await _decoded(dependencies, candidates):
            if owner_named_in(event) in (None, owner) and len(events) < most:
                events.append(shown(record, event))
        if len(events) >= most:
            break
    return events


async def _may_see(dependencies: Dependencies, ownership: Ownership, owner: OwnerId, record: Recorded) -> bool:
    """Whether the owner may see the event. For files and uploads the body decides; events that do not name their owner
    are not shown."""
    kind = kind_of(record)
    if kind is None:
        return False
    if kind.aggregate in OF_THE_SERVER | NAMES_ITS_OWNER:
        return True
    if kind.name in ("file.stored", "file.deleted", "upload.created"):
        return True
    return kind.aggregate == "batch" and await ownership.is_owned(dependencies, owner, record)


async def _decoded(dependencies: Dependencies, heads: Sequence[Recorded]) -> list[tuple[Recorded, e.AnyEvent]]:
    """Return these events with their bodies, in the order given; events that cannot be read are left out."""
    if not heads:
        return []
    sequences = {head.sequence for head in heads}
    subjects = sorted({head.subject for head in heads})
    whole = await _until(dependencies, min(sequences) - 1, max(sequences), subjects)
    read = {record.sequence: event for record in whole if record.sequence in sequences and (event := _read(record))}
    return [(head, read[head.sequence]) for head in heads if head.sequence in read]


def _read(record: Recorded) -> e.AnyEvent | None:
    try:
        return decode_outline(record)
    except Unreadable:
        return None


async def _headers(dependencies: Dependencies, lower: int, upper: int) -> list[Recorded]:
    return await _until(dependencies, lower - 1, upper - 1, ("evt.>",), headers_only=True)


async def _until(
    dependencies: Dependencies, after: int, last: int, subjects: Sequence[str], *, headers_only: bool = False
) -> list[Recorded]:
    """Return the events after `after` up to `last`, which must exist."""
    found: list[Recorded] = []
    async with dependencies.log.tail(after, subjects, headers_only=headers_only) as tail:
        async for records in tail:
            found += [record for record in records if record.sequence <= last]
            if records[-1].sequence >= last:
                break
    return found


async def _last_of(dependencies: Dependencies, subjects: Sequence[str]) -> list[Recorded | None]:
    return await asyncio.gather(*(dependencies.log.last(subject) for subject in subjects))


async def live_log(
    dependencies: Dependencies,
    ownership: Ownership,
    owner: OwnerId,
    params: EventsParams,
    *,
    after: int,
    heartbeat_seconds: float,
) -> AsyncGenerator[LiveEvent | None, None]:
    """Yield events after `after` as they come; None is a heartbeat. New answers of a batch are announced without an id,
    since only the other events can be resumed: one `batch.chunk_completed` with the batch's id for all that came
    together."""
    aggregate_id = params.batch_id or "*"
    kinds = [
        kind for kind in params.kinds if kind.name != CHUNK and (params.batch_id is None or kind.aggregate == "batch")
    ]
    subjects = sorted({subject_filter(kind, aggregate_id) for kind in kinds})
    async with AsyncExitStack() as stack:
        events = await stack.enter_async_context(dependencies.log.tail(after, subjects))
        chunks = await stack.enter_async_context(
            dependencies.log.tail(after, [f"evt.batch.{aggregate_id}.chunk_completed"], headers_only=True)
        )
        yield LiveEvent(after, "log.position", msgspec.json.encode({"sequence": after}))
        async for records in _either(events, chunks, heartbeat_seconds):
            if not records:
                yield None
            async for live in _live(dependencies, ownership, owner, records):
                yield live


async def _live(
    dependencies: Dependencies, ownership: Ownership, owner: OwnerId, records: Sequence[Recorded]
) -> AsyncGenerator[LiveEvent, None]:
    answered: dict[str, Recorded] = {}
    for record in records:
        kind = kind_of(record)
        if kind is not None and kind.name == CHUNK:
            answered[record.subject] = record
            continue
        event = _read(record)
        if event is not None and await _is_shown(dependencies, ownership, owner, record, event):
            told = shown(record, event)
            yield LiveEvent(record.sequence, told.type, msgspec.json.encode(told))
    for record in answered.values():
        if await ownership.is_owned(dependencies, owner, record):
            yield LiveEvent(0, CHUNK, msgspec.json.encode({"batch_id": record.subject.split(".")[2]}))


async def _is_shown(
    dependencies: Dependencies, ownership: Ownership, owner: OwnerId, record: Recorded, event: e.AnyEvent
) -> bool:
    if isinstance(event, e.BatchCreated) and event.owner == owner:
        ownership.note(owner, event.batch_id, is_owned=True)  # it may not be readable yet
    if not await _may_see(dependencies, ownership, owner, record):
        return False
    return owner_named_in(event) in (None, owner)


async def _either(
    first: AsyncIterator[list[Recorded]], second: AsyncIterator[list[Recorded]], seconds_max: float
) -> AsyncGenerator[list[Recorded], None]:
    """Return what arrives on one of two tails; an empty list when nothing does for a while."""
    tails = [first, second]
    pending = [asyncio.ensure_future(anext(tail)) for tail in tails]
    try:
        while True:
            done, _ = await asyncio.wait(pending, timeout=seconds_max, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                yield []
            for index, future in enumerate(pending):
                if future.done():
                    yield future.result()
                    pending[index] = asyncio.ensure_future(anext(tails[index]))
    finally:
        for future in pending:
            future.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
