"""The events of what administrators do to the server as a whole."""

from __future__ import annotations

from vbatch.contracts import limits
from vbatch.contracts.events.base import Event


class OperationEvent(Event, frozen=True, kw_only=True):
    """The base of all events of what administrators do to the server. `by` is the id of the key that asked, or
    `local`."""


class QueuePaused(OperationEvent, frozen=True, kw_only=True):
    """No request of any batch starts until the queue is resumed. Requests inside an engine finish."""

    by: limits.Word
    reason: limits.PersonText = ""


class QueueResumed(OperationEvent, frozen=True, kw_only=True):
    """Batches start requests again, except those that are paused themselves."""

    by: limits.Word


class DeadLetterRetried(OperationEvent, frozen=True, kw_only=True):
    """The message of a dead letter was sent again, and the dead letter is removed.

    `letter` is its sequence in the stream DEAD, `subject` that of the message.
    """

    letter: int
    subject: limits.ReasonText
    by: limits.Word


class DeadLetterDropped(OperationEvent, frozen=True, kw_only=True):
    """The dead letter is removed, and its message is not sent again."""

    letter: int
    subject: limits.ReasonText
    by: limits.Word


AnyOperationEvent = QueuePaused | QueueResumed | DeadLetterRetried | DeadLetterDropped
