"""Checks the runner's lease continually. A frozen process wakes up believing in a lease that another may hold by now:
until it has checked, it feeds nothing, or it would spend the device on requests that were already answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from vbatch.gpu_runner.flows.change_signal import ChangeSignal
from vbatch.journal.port import Conflict, Lease, Log, Unavailable

LOOK_SECONDS = 0.25
FRESH_SECONDS = 1.0
"""How long one check is valid: less than another process needs to take over and answer. Without NATS the feeding stops
after this time, since nothing could be recorded either."""


class LeaseWatch:
    def __init__(self, changed: ChangeSignal, clock: Callable[[], float]) -> None:
        self._changed = changed
        self._clock = clock
        self._looked_at = clock()

    def is_fresh(self) -> bool:
        return self._clock() - self._looked_at < FRESH_SECONDS

    async def until_fresh(self) -> None:
        """Return once the lease was checked recently: at once, except in a process that has just woken up."""
        while not self.is_fresh():
            await self._changed.wait()

    async def keep(self, log: Log, lease: Lease) -> None:
        """Run forever. Raises Conflict (in a group) once a newer lease exists: this life of the runner is over."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_await_newer(log, lease))
            tasks.create_task(self._look_again(log, lease))

    async def _look_again(self, log: Log, lease: Lease) -> None:
        while True:
            began_at = self._clock()
            try:
                newest = await log.last(lease.subject)
            except Unavailable:
                continue  # it has waited for an answer until its own deadline
            if newest is None or newest.sequence != lease.epoch:
                raise _lost(lease)
            self._looked_at = began_at
            self._changed.fire()
            await asyncio.sleep(LOOK_SECONDS)


async def _await_newer(log: Log, lease: Lease) -> None:
    """Raise as soon as a newer lease arrives, even if nothing is being recorded."""
    async with log.tail(lease.epoch, (lease.subject,)) as arrivals:
        async for _ in arrivals:
            raise _lost(lease)


def _lost(lease: Lease) -> Conflict:
    return Conflict(f"a newer lease than {lease.epoch} exists")
