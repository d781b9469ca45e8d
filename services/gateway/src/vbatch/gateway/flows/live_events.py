"""The events of one batch, live from the log and from any sequence on, each once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from vbatch.chassis.logs import get_logger
from vbatch.contracts import events as e
from vbatch.contracts.codec import Unreadable, decode_outline
from vbatch.contracts.message import Recorded
from vbatch.contracts.subjects import batch_events
from vbatch.gateway.core.live_events import event_body, is_last
from vbatch.gateway.core.records import BatchRecord
from vbatch.gateway.flows.writing import can_read
from vbatch.gateway.ports import Dependencies


@dataclass(frozen=True, slots=True)
class LiveEvent:
    sequence: int
    name: str
    body: bytes


def has_nothing_more(batch: BatchRecord, after: int) -> bool:
    """Whether a subscriber that has seen `after` has seen the last event."""
    return batch.is_over and after >= batch.version


async def live_events(
    dependencies: Dependencies, batch: BatchRecord, after: int, *, heartbeat_seconds: float
) -> AsyncGenerator[LiveEvent | None, None]:
    """Yield events after sequence `after` until the batch ends; None is a heartbeat: nothing came for a while.

    The last event is sent once its effect can be read, because a client that learns the batch is over asks for its
    files next.

    The log is queried once before this returns, so that an unreachable log is noticed before the first event.
    """
    cancel_came_before = await _was_cancelled_by(dependencies, batch, after)
    return _events(dependencies, batch, after, heartbeat_seconds, cancel_came_before)


async def _events(
    dependencies: Dependencies, batch: BatchRecord, after: int, heartbeat_seconds: float, cancel_came_before: bool
) -> AsyncGenerator[LiveEvent | None, None]:
    async with dependencies.log.tail(after, [batch_events(batch.id)]) as tail:
        while True:
            records = await arrived(tail, heartbeat_seconds)
            if not records:
                yield None
            for record in records:
                event = _read(record)
                if event is None:
                    continue
                is_over = is_last(event, cancel_came_before=cancel_came_before)
                if is_over:
                    await can_read(dependencies, record.sequence)
                yield LiveEvent(record.sequence, _name(record), event_body(event))
                if is_over:
                    return
                cancel_came_before |= isinstance(event, e.BatchCancelRequested)


async def arrived(tail: AsyncIterator[list[Recorded]], seconds_max: float) -> list[Recorded]:
    """Return what has arrived, or nothing after `seconds_max`; cancelling a pending read of a tail loses nothing."""
    try:
        async with asyncio.timeout(seconds_max):
            return await anext(tail)
    except TimeoutError:
        return []


def _read(record: Recorded) -> e.Event | None:
    """Decode a record; None if this version cannot: results rejects it, and a subscriber must not fail on it."""
    try:
        return decode_outline(record)
    except Unreadable as error:
        get_logger().warning("event_passed_over", sequence=record.sequence, reason=str(error))
        return None


async def _was_cancelled_by(dependencies: Dependencies, batch: BatchRecord, sequence: int) -> bool:
    cancel = await dependencies.log.last(f"evt.batch.{batch.id}.cancel_requested")
    return cancel is not None and cancel.sequence <= sequence


def _name(record: Recorded) -> str:
    """Return the event's name, such as `batch.chunk_completed`: the tail of the subject, as in the catalogue."""
    return "batch." + record.subject.rsplit(".", 1)[1]
