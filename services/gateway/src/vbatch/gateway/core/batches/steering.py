"""The owner's control over a batch in the queue: pause, resume and priority."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from vbatch.contracts import events as e
from vbatch.contracts.lifecycle import PRIORITY_MAX, PRIORITY_MIN, STEERABLE
from vbatch.gateway.core.records import BatchRecord
from vbatch.gateway.core.refusals import batch_over
from vbatch.gateway.core.shapes import integer, integer_between, json_object


@dataclass(frozen=True, slots=True)
class Pause:
    words: str = "pause"


@dataclass(frozen=True, slots=True)
class Resume:
    words: str = "resume"


@dataclass(frozen=True, slots=True)
class Prioritize:
    priority: int
    words: str = "change the priority of"


SteeringCommand = Pause | Resume | Prioritize


def parse_priority(raw: bytes) -> Prioritize:
    """Parse the body of a change of priority. Raises Refusal."""
    return Prioritize(priority_of(json_object(raw, required=("priority",), optional=())["priority"]))


def priority_of(value: object) -> int:
    """Return a valid priority. Raises Refusal."""
    return integer_between(integer(value, "priority"), "priority", PRIORITY_MIN, PRIORITY_MAX)


def check_steerable(batch: BatchRecord, params: SteeringCommand) -> None:
    """Raises Refusal for a batch that is ending or over."""
    if batch.status not in STEERABLE:
        raise batch_over(params.words, batch.status)


def steering_event(batch: BatchRecord, params: SteeringCommand, now: datetime) -> e.Event | None:
    """Return the event that carries out the command; None if nothing would change. Raises Refusal."""
    check_steerable(batch, params)
    match params:
        case Pause():
            return e.BatchPaused(at=now, batch_id=batch.id) if batch.paused_at is None else None
        case Resume():
            return e.BatchResumed(at=now, batch_id=batch.id) if batch.paused_at is not None else None
        case Prioritize(priority):
            changed = e.BatchPriorityChanged(at=now, batch_id=batch.id, priority=priority)
            return changed if batch.priority != priority else None
        case _:
            assert_never(params)
