"""The leases of services of which one process writes at a time."""

from __future__ import annotations

from vbatch.contracts import limits
from vbatch.contracts.events.base import Event


class LeaseTaken(Event, frozen=True, kw_only=True):
    """The fields that the leases of single-process services share."""


class SchedulerLeased(LeaseTaken, frozen=True, kw_only=True):
    """A scheduler process took over. The sequence of this event is its epoch."""

    scheduler_id: limits.Word
    pid: int


class ResultsLeased(LeaseTaken, frozen=True, kw_only=True):
    """A results process took over. The sequence of this event is its epoch."""

    results_id: limits.Word
    pid: int


class NotifierLeased(LeaseTaken, frozen=True, kw_only=True):
    """A notifier process took over. The sequence of this event is its epoch."""

    notifier_id: limits.Word
    pid: int


class LabelerLeased(LeaseTaken, frozen=True, kw_only=True):
    """A labeler process took over. The sequence of this event is its epoch."""

    labeler_id: limits.Word
    pid: int


LeaseEvent = SchedulerLeased | ResultsLeased | NotifierLeased | LabelerLeased
