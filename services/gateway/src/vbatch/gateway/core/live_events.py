"""What a subscriber of one batch receives: every event of its log, without the answers, until no more can follow."""

from __future__ import annotations

import msgspec

from vbatch.contracts import events as e
from vbatch.gateway.core.refusals import Reason, Refusal
from vbatch.gateway.core.shapes import integer_between, integer_of_text

SEQUENCE_MAX = 2**63 - 1


class ChunkSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk_completed without its answers; the counts are of this chunk alone, so they are still correct on
    resume."""

    at: str
    batch_id: str
    slice_id: str
    runner_id: str
    chunk: int
    model: str
    lines: tuple[int, ...]
    succeeded: int
    failed: int
    usage: e.Usage


def event_body(event: e.Event) -> bytes:
    """Encode the event as one line of JSON."""
    if isinstance(event, e.ChunkOutline):
        return msgspec.json.encode(_summary(event))
    return msgspec.json.encode(event)


def is_last(event: e.Event, *, cancel_came_before: bool) -> bool:
    """Whether the batch ends with this event. A rejection after a cancel does not end the batch: the cancel
    continues."""
    if isinstance(event, e.BatchRejected):
        return not cancel_came_before
    return isinstance(event, e.BatchSealed)


def _summary(chunk: e.ChunkOutline) -> ChunkSummary:
    succeeded = sum(outcome.is_success for outcome in chunk.outcomes)
    return ChunkSummary(
        at=chunk.at.isoformat(),
        batch_id=chunk.batch_id,
        slice_id=chunk.slice_id,
        runner_id=chunk.runner_id,
        chunk=chunk.chunk,
        model=chunk.model,
        lines=tuple(outcome.line for outcome in chunk.outcomes),
        succeeded=succeeded,
        failed=len(chunk.outcomes) - succeeded,
        usage=sum((outcome.usage for outcome in chunk.outcomes), e.NO_USAGE),
    )


def read_last_event_id(header: str | None, *, created: int) -> int:
    """Return the sequence after which to continue. Raises Refusal for an id that none of our streams has sent."""
    if not header:
        return created - 1
    try:
        sequence = integer_between(integer_of_text(header, "Last-Event-ID"), "Last-Event-ID", 0, SEQUENCE_MAX)
    except Refusal as error:
        message = f"Invalid 'Last-Event-ID': '{header}'. Expected the id of an event of this stream."
        raise Refusal(Reason.VALUE_INVALID, message, "Last-Event-ID") from error
    return max(sequence, created - 1)
