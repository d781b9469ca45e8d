"""What is recorded instead of an event that the log refuses for good."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from vbatch.contracts import events as e
from vbatch.contracts.bounds import cut
from vbatch.contracts.failures import RequestFault
from vbatch.contracts.limits import CUSTOM_ID_BYTES_MAX

MESSAGE = "The answer to this request could not be recorded: "
PART_BASE = 1_000
"""The parts of a refused chunk are numbered from its own number times this. A slice has fewer chunks than this, and a
chunk fewer outcomes."""


def stand_ins(event: e.Event, refusal: Exception) -> Sequence[e.Event]:
    """Replace a chunk by its lines one by one, a single line by a failed one, and any other event by one without its
    text."""
    match event:
        case e.ChunkCompleted(outcomes=(outcome,)):
            return [] if _is_stand_in(outcome) else [replace(event, outcomes=(_failed(outcome, refusal),))]
        case e.ChunkCompleted():
            return [
                replace(event, chunk=PART_BASE * event.chunk + place, outcomes=(outcome,))
                for place, outcome in enumerate(event.outcomes)
            ]
        case e.SliceReturned() | e.ModelFailed() | e.EngineCrashed() if event.detail:
            return [replace(event, detail="")]
        case _:
            return []


def _is_stand_in(outcome: e.Outcome) -> bool:
    return outcome.error is not None and outcome.error.message.startswith(MESSAGE)


def _failed(outcome: e.Outcome, refusal: Exception) -> e.Outcome:
    """A failed outcome without the engine's text, and with only the start of an id that an old log may hold."""
    error = e.RequestError(code=RequestFault.UNREADABLE_ANSWER, message=f"{MESSAGE}{refusal}")
    custom_id = cut(outcome.custom_id, CUSTOM_ID_BYTES_MAX)
    return e.Outcome(line=outcome.line, custom_id=custom_id, error=error, seconds=outcome.seconds)
