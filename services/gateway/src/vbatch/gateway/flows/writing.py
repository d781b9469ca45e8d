"""Appends events, and waits until the caller's own write can be read."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace

from vbatch.chassis.logs import get_logger
from vbatch.contracts.audit import ACTOR_HEADER, ADDRESS_HEADER
from vbatch.contracts.codec import encode
from vbatch.contracts.events import Event
from vbatch.contracts.message import Message
from vbatch.gateway.core.refusals import unavailable
from vbatch.gateway.ports import Dependencies
from vbatch.journal.port import Guard

SOURCE = "gateway"


@dataclass(frozen=True, slots=True)
class Actor:
    """The actor of an event: the id of a key, or `local`, and the address that the request came from."""

    name: str
    address: str


ACTOR: ContextVar[Actor | None] = ContextVar("actor", default=None)
"""The actor of the request that is being answered; None for what the gateway does by itself."""


async def append(dependencies: Dependencies, event: Event, guard: Guard | None = None) -> int:
    """Append the event durably and return its sequence. Raises what Log.append raises."""
    message = _message(event)
    sequence = await dependencies.log.append(message, guard)
    get_logger().info("event_appended", event_id=message.message_id, sequence=sequence)
    return sequence


async def append_all(dependencies: Dependencies, events: Sequence[Event], guard: Guard | None = None) -> int:
    """Append all events durably, or none; return the last sequence. Raises what Log.append_all raises."""
    return await dependencies.log.append_all([_message(event) for event in events], guard)


async def can_read(dependencies: Dependencies, sequence: int) -> bool:
    """Whether the read model reaches `sequence` within the time limit."""
    return await dependencies.projection.reaches(sequence, dependencies.own_write_seconds_max)


async def must_read(dependencies: Dependencies, sequence: int) -> None:
    """Wait for an answer that only the fold can give. Raises Refusal when the write succeeded but its effect cannot be
    shown yet."""
    if not await can_read(dependencies, sequence):
        raise unavailable("Your request was recorded, but its effect cannot be shown yet.")


async def is_news(dependencies: Dependencies, subject_filter: str) -> bool:
    """Whether the log holds more of an aggregate than could be read a moment ago; it is readable now. Raises Refusal.

    An acknowledged write whose projection is late, or was lost with the database, must not be answered "not found".
    """
    newest = await dependencies.log.last(subject_filter)
    if newest is None:
        return False
    await must_read(dependencies, newest.sequence)
    return True


def _message(event: Event) -> Message:
    """Return the message with CloudEvents extensions that name the actor; the event itself does not depend on the
    actor."""
    message, actor = encode(event, source=SOURCE), ACTOR.get()
    if actor is None:
        return message
    told = {ACTOR_HEADER: actor.name, ADDRESS_HEADER: actor.address}
    return replace(message, headers={**message.headers, **told})
