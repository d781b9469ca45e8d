"""Reads the past. A new scheduler needs the life of every batch, but the outcomes of unfinished batches only: from a
log of a million answers it reads a few thousand small events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from vbatch.contracts.catalogue import KINDS
from vbatch.contracts.codec import Unreadable, decode_outline
from vbatch.contracts.message import Recorded
from vbatch.contracts.subjects import BATCHES_ARCHIVED
from vbatch.journal.port import Log
from vbatch.scheduler.core.state.state import State, evolve

BULK = frozenset({"batch.dispatched", "batch.chunk_completed", "batch.slice_returned"})
"""The events that occur many times in the life of one batch."""
RECENT_EVENTS = 5_000
"""This many of the newest events are read whole, for the rates measured from them."""

Fold = Callable[[Recorded], Awaitable[None]]


def skeleton_subjects() -> tuple[str, ...]:
    """Filters for everything but the bulk."""
    names = (kind.name.split(".") for kind in KINDS if kind.name not in BULK)
    return tuple(f"evt.{aggregate}.*.{event}" for aggregate, event in names)


async def newest_of_skeleton(log: Log) -> int:
    """The sequence of the newest event that is not of the bulk; 0 if there is none."""
    newest = await asyncio.gather(*(log.last(subject) for subject in skeleton_subjects()))
    return max((record.sequence for record in newest if record is not None), default=0)


async def fold_past(log: Log, until: int, fold: Fold) -> int:
    """Fold the skeleton of the past; return the sequence from which on everything must be folded.

    `until` is the sequence of an event of the skeleton, such as our own lease.
    """
    start = await _oldest_unfinished(log, until)
    async for record in _skeleton(log, until):
        if record.sequence >= start:
            break
        await fold(record)
    return start


async def archived_between(log: Log, start: int, until: int) -> frozenset[str]:
    """The ids of the batches that were archived from sequence `start` on, before `until`."""
    newest = await log.last(BATCHES_ARCHIVED)
    last = min(newest.sequence if newest else 0, until)
    found: set[str] = set()
    if last < start:
        return frozenset()
    async with log.tail(start - 1, (BATCHES_ARCHIVED,), headers_only=True) as lists:
        async for records in lists:
            found.update(record.subject.split(".")[2] for record in records)
            if records[-1].sequence >= last:
                return frozenset(found)
    return frozenset(found)


def has_lost_its_answers(record: Recorded, archived: frozenset[str]) -> bool:
    """Whether the event is a dispatch or a return of a batch whose chunks have left the log. Without them, the runner
    would seem to have been busy without answering anything."""
    _, aggregate, batch_id, event = record.subject.split(".", 3)
    return aggregate == "batch" and batch_id in archived and f"batch.{event}" in BULK


async def _oldest_unfinished(log: Log, until: int) -> int:
    scratch = State()
    async for record in _skeleton(log, until):
        try:
            evolve(scratch, decode_outline(record), record.sequence)
        except Unreadable:
            continue  # the fold that follows sets it aside as a dead letter
    return min([max(1, until - RECENT_EVENTS), *(batch.sequence for batch in scratch.batches.values())])


async def _skeleton(log: Log, until: int) -> AsyncIterator[Recorded]:
    async with log.tail(0, skeleton_subjects()) as lists:
        async for records in lists:
            for record in records:
                yield record
                if record.sequence >= until:
                    return
