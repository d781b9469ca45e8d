"""Sentences for people about the events of what administrators do to the server and to its runners."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from vbatch.contracts import events as e

GOAL_TEXTS: Mapping[e.DrainGoal, str] = {
    e.DrainGoal.KEEP: "keeps its model loaded",
    e.DrainGoal.UNLOAD: "frees the memory of its device",
    e.DrainGoal.RESTART: "restarts",
}
"""Each value completes the phrase "it finishes what it runs and"."""


def drain_text(event: e.AnyDrainEvent) -> str:
    match event:
        case e.RunnerDrainRequested():
            why = f" ({event.reason})" if event.reason else ""
            return f"{event.by} drains {event.runner_id}, which finishes what it runs and {GOAL_TEXTS[event.goal]}{why}"
        case e.RunnerDrained():
            return f"{event.runner_id} is drained and {GOAL_TEXTS[event.goal]}"
        case e.RunnerResumed():
            return f"{event.by} resumed {event.runner_id}"
        case _:
            assert_never(event)


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
