"""Whether the store takes messages: what it refused last, a look at the disk below it, and waiting for room.

JetStream answers a stream at its own limit with an error, but goes deaf on a full disk until it is started again; so
writers that can see its folder stop while there is still something left.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from vbatch.journal.port import Full

T = TypeVar("T")
OnRefusal = Callable[[str], None]
Watcher = Callable[[str | None], None]
"""Called with what the store refused with, or None when it takes messages again."""


class SpaceWait:
    """One connection's view. `refusal` is why a write waits now; None while none does."""

    def __init__(self, folder: Path | None = None, *, free_bytes_min: int = 0, retry_seconds: float = 1.0) -> None:
        self._folder = folder
        self._free_bytes_min = free_bytes_min
        self._retry_seconds = retry_seconds
        self._refused: dict[object, str] = {}
        self._watchers: list[Watcher] = []

    @property
    def refusal(self) -> str | None:
        return next(iter(self._refused.values()), None)

    def watch(self, watcher: Watcher) -> None:
        self._watchers.append(watcher)

    def check_disk(self) -> None:
        """Raises Full when the disk of the store has less left than it must keep; what cannot be seen is not checked.

        One statvfs: microseconds on a local disk.
        """
        free = _free_bytes(self._folder)
        if free is not None and free < self._free_bytes_min:
            raise Full(f"{self._folder} has {free} bytes free, the log stops at {self._free_bytes_min}")

    async def pause(self) -> None:
        """Between two tries of a refused write."""
        await asyncio.sleep(self._retry_seconds)

    async def persist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try for as long as there is no room. Safe to repeat: what was refused was not stored."""
        with self.waiting() as refused:
            while True:
                try:
                    return await attempt()
                except Full as error:
                    refused(str(error))
                await self.pause()

    @contextmanager
    def waiting(self) -> Iterator[OnRefusal]:
        """For one write, which says what it was refused with; leaving it, that write waits no more."""
        key = object()

        def refused(text: str) -> None:
            self._notify(lambda: self._refused.update({key: text}))

        try:
            yield refused
        finally:
            self._notify(lambda: self._refused.pop(key, None))

    def _notify(self, change: Callable[[], object]) -> None:
        before = self.refusal
        change()
        if (self.refusal is None) != (before is None):
            for watcher in self._watchers:
                watcher(self.refusal)


def _free_bytes(folder: Path | None) -> int | None:
    if folder is None:
        return None
    try:
        found = os.statvfs(folder)
    except FileNotFoundError:
        return None
    return found.f_bavail * found.f_frsize
