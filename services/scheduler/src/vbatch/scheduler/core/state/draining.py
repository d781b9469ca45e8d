"""Which runners are drained: they take nothing new until an administrator resumes them."""

from __future__ import annotations

from typing import assert_never

from vbatch.contracts import events as e
from vbatch.contracts.ids import RunnerId

Drains = dict[RunnerId, e.DrainGoal]


def after_drain_event(drains: Drains, event: e.AnyDrainEvent) -> None:
    """Fold one event. A runner that is drained stays so until it is resumed."""
    match event:
        case e.RunnerDrainRequested():
            drains[event.runner_id] = event.goal
        case e.RunnerResumed():
            drains.pop(event.runner_id, None)
        case e.RunnerDrained():
            pass  # it still takes nothing new
        case _:
            assert_never(event)


def after_lease(drains: Drains, runner_id: RunnerId) -> None:
    """A new process of the runner has started: that is the restart that was asked for."""
    if drains.get(runner_id) is e.DrainGoal.RESTART:
        del drains[runner_id]
