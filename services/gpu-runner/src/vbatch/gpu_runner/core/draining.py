"""Whether an administrator wants this runner to take nothing new, and what it does then: folded from the log."""

from __future__ import annotations

from dataclasses import dataclass

from vbatch.contracts import events as e


@dataclass(slots=True)
class Drain:
    """`request` is the sequence of the newest request, 0 while the runner works; `done` the last one that was obeyed.
    `epoch` is that of this process: a restart that was requested before it has happened."""

    epoch: int = 0
    request: int = 0
    goal: e.DrainGoal = e.DrainGoal.KEEP
    done: int = 0

    @property
    def is_active(self) -> bool:
        return self.request != 0

    @property
    def is_due(self) -> bool:
        """Whether there is a request that was not obeyed yet."""
        return self.request > self.done

    @property
    def frees_device(self) -> bool:
        return self.is_active and self.goal is not e.DrainGoal.KEEP

    def evolve(self, event: e.AnyEvent, sequence: int) -> None:
        """Fold one event of this runner; an event that is not about drains changes nothing."""
        match event:
            case e.RunnerDrainRequested(goal=e.DrainGoal.RESTART) if sequence < self.epoch:
                self.request = 0
            case e.RunnerDrainRequested():
                self.request, self.goal = sequence, event.goal
            case e.RunnerResumed():
                self.request = 0
            case _:
                pass
