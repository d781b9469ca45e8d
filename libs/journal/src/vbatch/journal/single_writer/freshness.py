"""Whether the lease was ours a moment ago. A frozen process wakes up and still believes that it has the lease, which
another process may hold by now: until it has checked, it must not do anything costly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from vbatch.journal.port import Unavailable
from vbatch.journal.single_writer.writer import SingleWriter

LOOK_SECONDS = 0.25
FRESH_SECONDS = 1.0
"""How long one check is valid: less than another process needs to take over and answer. Without NATS nothing is fresh
after this time, and nothing could be recorded either."""


class LeaseFreshness:
    """`on_look` is called after each check that finds the lease to be ours. `clock` returns seconds."""

    def __init__(self, on_look: Callable[[], None], clock: Callable[[], float]) -> None:
        self._on_look = on_look
        self._clock = clock
        self._looked_at = clock()
        self._looked = asyncio.Event()

    def is_fresh(self) -> bool:
        return self._clock() - self._looked_at < FRESH_SECONDS

    async def until_fresh(self) -> None:
        """Return once the lease was checked recently: at once, except in a process that has just woken up."""
        while not self.is_fresh():
            await self._looked.wait()

    async def keep(self, writer: SingleWriter) -> None:
        """Check repeatedly. Raises Fenced once a newer lease exists."""
        while True:
            began_at = self._clock()
            try:
                await writer.must_be_newest()
            except Unavailable:
                continue  # it has waited for an answer until its own deadline
            self.note_look(began_at)
            await asyncio.sleep(LOOK_SECONDS)

    def note_look(self, began_at: float) -> None:
        """Record that a check, begun at this time of the clock, found the lease to be ours."""
        self._looked_at = began_at
        looked, self._looked = self._looked, asyncio.Event()
        looked.set()
        self._on_look()
