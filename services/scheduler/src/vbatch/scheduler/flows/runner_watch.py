"""Checks that every runner still asks for orders. A runner that has been silent too long is declared lost: its epoch is
fenced and its work waits again. A runner that was only cut off finds itself fenced, ends, and starts again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from vbatch.contracts import events as e
from vbatch.contracts.ids import RunnerId
from vbatch.journal.port import Unavailable, WorkQueue
from vbatch.scheduler.core.state.runner import Runner
from vbatch.scheduler.core.state.state import State
from vbatch.scheduler.ports import Clock

LOOK_SECONDS = 2.0
SILENCE_SECONDS_MAX = 60.0
"""Longer than any pause between two requests of a live runner for orders, including a restart of the log."""

Life = tuple[RunnerId, int]

log = structlog.stdlib.get_logger()


@dataclass
class RunnerWatch:
    """`append` stores an event and returns when it is folded."""

    state: State
    queue: WorkQueue
    clock: Clock
    append: Callable[[e.AnyEvent], Awaitable[None]]
    silence_seconds_max: float = SILENCE_SECONDS_MAX
    _heard: dict[Life, float] = field(default_factory=dict)

    async def keep(self) -> None:
        """Look repeatedly until cancelled."""
        while True:
            try:
                await self.look()
            except Unavailable:
                self._heard.clear()  # the log was unreachable: runners could not ask either, so none is silent
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Look once."""
        for runner in list(self.state.runners.values()):
            life, now = (runner.runner_id, runner.epoch), self.clock().timestamp()
            if await self.queue.is_awaited(consumer_of(runner)):
                self._heard[life] = now
            elif (silent := now - self._heard.setdefault(life, now)) > self.silence_seconds_max:
                await self._declare_lost(runner, silent)
        alive = {(runner.runner_id, runner.epoch) for runner in self.state.runners.values()}
        self._heard = {life: at for life, at in self._heard.items() if life in alive}

    async def _declare_lost(self, runner: Runner, silent_seconds: float) -> None:
        log.warning("runner_lost", runner_id=runner.runner_id, epoch=runner.epoch, silent_seconds=silent_seconds)
        await self.append(
            e.RunnerLost(runner_id=runner.runner_id, epoch=runner.epoch, silent_seconds=silent_seconds, at=self.clock())
        )


def consumer_of(runner: Runner) -> str:
    """The name under which a runner with this epoch takes its orders."""
    return f"{runner.runner_id}-{runner.epoch}"
