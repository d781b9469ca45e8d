"""Sentences for people about the events of what administrators do to the server."""

from __future__ import annotations

from typing import assert_never

from vbatch.contracts import events as e


def operation_text(event: e.AnyOperationEvent) -> str:
    match event:
        case e.QueuePaused():
            why = f" ({event.reason})" if event.reason else ""
            return f"{event.by} paused all work{why}"
        case e.QueueResumed():
            return f"{event.by} resumed all work"
        case e.DeadLetterRetried():
            return f"{event.by} sent dead letter {event.letter} again ({event.subject})"
        case e.DeadLetterDropped():
            return f"{event.by} dropped dead letter {event.letter} ({event.subject})"
        case _:
            assert_never(event)
