"""The timeline of a batch, read from the log: its own events whole, of its chunks only the headers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from heapq import merge

from vbatch.contracts import events as e
from vbatch.contracts.catalogue import KINDS
from vbatch.contracts.codec import Unreadable, decode
from vbatch.contracts.ids import OwnerId, SliceId
from vbatch.contracts.message import Recorded
from vbatch.gateway.core.answer_lines import ChunkRecord
from vbatch.gateway.core.event_log import CHUNK, subject_filter
from vbatch.gateway.core.live_events import SEQUENCE_MAX
from vbatch.gateway.core.records import BatchRecord
from vbatch.gateway.core.refusals import unavailable
from vbatch.gateway.core.shapes import integer_between
from vbatch.gateway.core.timeline import RUNNER_EVENTS, Chunk, RunnerTold, Step, Timeline, TimelineObject
from vbatch.gateway.flows.batches import find_batch
from vbatch.gateway.ports import Dependencies

TIMELINE_SECONDS_MAX = 20.0
MESSAGE_ID_PARTS = 4


async def timeline_of_batch(
    dependencies: Dependencies, owner: OwnerId, batch_id: str, at: int | None
) -> TimelineObject:
    """Return the timeline. Raises Refusal when the batch is unknown, `at` is before its creation, or its log cannot be
    read in time."""
    batch = await find_batch(dependencies, owner, batch_id)
    if at is not None:
        integer_between(at, "at", batch.sequence, SEQUENCE_MAX)
    try:
        async with asyncio.timeout(TIMELINE_SECONDS_MAX):
            own, runners, chunks, counted = await asyncio.gather(
                _read(dependencies, batch, _subjects(batch), headers_only=False),
                _read(dependencies, batch, _runner_subjects(), headers_only=False),
                _read(dependencies, batch, [_chunks(batch)], headers_only=True),
                dependencies.reads.chunks(batch),
            )
    except TimeoutError as error:
        raise unavailable("The log of this batch could not be read in time.") from error
    view = _folded(own, runners, chunks, counted, at).view(dependencies.now())
    if view is None:
        raise unavailable("The log does not hold this batch yet.")
    return view


def _folded(
    own: Sequence[Recorded],
    runners: Sequence[Recorded],
    chunks: Sequence[Recorded],
    counted: Sequence[ChunkRecord],
    at: int | None,
) -> Timeline:
    timeline = Timeline(at)
    last = max((records[-1].sequence for records in (own, chunks) if records), default=0)
    by_sequence = {chunk.sequence: chunk for chunk in counted}
    told = [record for record in runners if record.sequence <= last]
    for record in merge(own, told, chunks, key=lambda record: record.sequence):
        for step in _steps(record, by_sequence):
            timeline.fold(step)
    return timeline


def _steps(record: Recorded, counted: dict[int, ChunkRecord]) -> Iterator[Step]:
    """Yield the step of the event; nothing if the event cannot be read."""
    if record.subject.endswith(".chunk_completed"):
        parts = record.message_id.split(":")
        slice_id = SliceId(parts[2]) if len(parts) == MESSAGE_ID_PARTS else SliceId("")
        yield Step(record.sequence, record.recorded_at, Chunk(slice_id, counted.get(record.sequence)))
        return
    try:
        event = decode(record)
    except Unreadable:
        return
    if isinstance(event, e.BatchEvent | RunnerTold):
        yield Step(record.sequence, record.recorded_at, event)


async def _read(
    dependencies: Dependencies, batch: BatchRecord, subjects: Sequence[str], *, headers_only: bool
) -> list[Recorded]:
    """Read the log from the creation of the batch to the newest event."""
    newest = await asyncio.gather(*(dependencies.log.last(subject) for subject in subjects))
    last = max((record.sequence for record in newest if record is not None), default=0)
    found: list[Recorded] = []
    if last < batch.sequence:
        return found
    async with dependencies.log.tail(batch.sequence - 1, subjects, headers_only=headers_only) as tail:
        async for records in tail:
            found += [record for record in records if record.sequence <= last]
            if records[-1].sequence >= last:
                break
    return found


def _subjects(batch: BatchRecord) -> list[str]:
    kinds = [kind for kind in KINDS if kind.aggregate == "batch" and kind.name != CHUNK]
    return sorted({subject_filter(kind, batch.id) for kind in kinds})


def _runner_subjects() -> list[str]:
    return sorted({subject_filter(kind) for kind in KINDS if kind.type in RUNNER_EVENTS})


def _chunks(batch: BatchRecord) -> str:
    return f"evt.batch.{batch.id}.chunk_completed"
