"""Wakes every waiter when something has changed. The waiters look for themselves at what has changed."""

from __future__ import annotations

import asyncio


class ChangeSignal:
    """Look, then wait, with no await between the two: then no change is missed."""

    def __init__(self) -> None:
        self._next: asyncio.Future[None] | None = None

    def fire(self) -> None:
        if self._next is not None and not self._next.done():
            self._next.set_result(None)
        self._next = None

    async def wait(self) -> None:
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._next)
