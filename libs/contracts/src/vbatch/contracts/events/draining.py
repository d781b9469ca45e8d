"""The events of a runner that an administrator takes out of service and puts back."""

from __future__ import annotations

from enum import StrEnum

from vbatch.contracts import limits
from vbatch.contracts.events.base import Event
from vbatch.contracts.ids import RunnerId


class DrainGoal(StrEnum):
    """What a runner does once it has finished what is inside its engine."""

    KEEP = "keep"
    """It keeps its model loaded and waits."""
    UNLOAD = "unload"
    """It stops every engine, so that the memory of its device is free, and waits."""
    RESTART = "restart"
    """Its process ends; the next one works as usual."""


class DrainEvent(Event, frozen=True, kw_only=True):
    """The base of all events of a runner's drain."""

    runner_id: RunnerId


class RunnerDrainRequested(DrainEvent, frozen=True, kw_only=True):
    """The runner takes nothing new: its requests that are not inside an engine wait elsewhere, the others finish. It
    stays drained until it is resumed, also over restarts, unless the goal is a restart. A newer request replaces the
    goal. `by` is the id of the key that asked, or `local`."""

    goal: DrainGoal
    by: limits.Word
    reason: limits.PersonText = ""


class RunnerDrained(DrainEvent, frozen=True, kw_only=True):
    """Nothing is inside the runner's engines any more, and what `goal` asks for is done; a restart is what follows.

    `request` is the sequence of the request.
    """

    epoch: int
    goal: DrainGoal
    request: int


class RunnerResumed(DrainEvent, frozen=True, kw_only=True):
    """The runner takes work again."""

    by: limits.Word


AnyDrainEvent = RunnerDrainRequested | RunnerDrained | RunnerResumed
