"""An administrator who drains runners, frees their devices or restarts them, and puts every one back into service."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from random import Random

from vbatch.contracts import events as e
from vbatch.contracts.ids import RunnerId

SHARE = 0.4
"""In how many simulations there is one."""
DRAINS_MAX = 3
WORKS_SECONDS_MAX, DRAINED_SECONDS_MAX = 2.0, 3.0


@dataclass
class Administrator:
    """`say` returns once the event is acknowledged."""

    runner_ids: tuple[RunnerId, ...]
    random: Random
    now: Callable[[], datetime]
    say: Callable[[e.AnyEvent], Awaitable[None]]

    async def steer(self) -> None:
        if self.random.random() >= SHARE:
            return
        for _ in range(self.random.randint(1, DRAINS_MAX)):
            await asyncio.sleep(self.random.random() * WORKS_SECONDS_MAX)
            await self._drain_for_a_while(self.random.choice(self.runner_ids))

    async def _drain_for_a_while(self, runner_id: RunnerId) -> None:
        goal = self.random.choice(list(e.DrainGoal))
        await self.say(e.RunnerDrainRequested(runner_id=runner_id, goal=goal, by="local", at=self.now()))
        await asyncio.sleep(self.random.random() * DRAINED_SECONDS_MAX)
        await self.say(e.RunnerResumed(runner_id=runner_id, by="local", at=self.now()))
