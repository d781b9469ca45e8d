"""How far a process has folded the log: the caught-up gate, and the place to wait for the process's own events."""

from __future__ import annotations

import asyncio


class Position:
    """`goal` is the sequence at which all the past is folded: that of the process's own lease; None before the lease is
    taken."""

    def __init__(self) -> None:
        self.sequence = 0
        self.goal: int | None = None
        self.is_caught_up = False
        self._moved = asyncio.Event()

    def advance(self, sequence: int) -> None:
        """Record that everything up to `sequence` is folded: once for each list of records, not for each record."""
        self.sequence = sequence
        self.is_caught_up = self.goal is not None and sequence >= self.goal
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def wait_for(self, sequence: int) -> None:
        """Return once the event at `sequence` is folded."""
        while self.sequence < sequence:
            await self._moved.wait()

    async def caught_up(self) -> None:
        """Return once everything that the log held when the lease was taken is folded."""
        while not self.is_caught_up:
            await self._moved.wait()
