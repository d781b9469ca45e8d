"""Whether the store takes messages: its last refusal, a check of its disk, and waiting for room.

JetStream reports a stream at its own limit with an error, but on a full disk it stops answering until it is restarted.
So writers that can see its folder stop while some space is left.
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
"""Called with the store's refusal, or with None when it takes messages again."""


class SpaceWait:
    """The state of one connection. `refusal` is why a write waits now; None while no write waits."""

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
        """Raise Full when the disk of the store has less free space than it must keep.

        A disk that this process cannot see passes. The check costs one statvfs: microseconds on a local disk.
        """
        free = _free_bytes(self._folder)
        if free is not None and free < self._free_bytes_min:
            raise Full(f"{self._folder} has {free} bytes free, the log stops at {self._free_bytes_min}")

    async def pause(self) -> None:
        """Wait between two tries of a refused write."""
        await asyncio.sleep(self._retry_seconds)

    async def persist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try until there is room. Repeating is safe: a refused write was not stored."""
        with self.waiting() as refused:
            while True:
                try:
                    return await attempt()
                except Full as error:
                    refused(str(error))
                await self.pause()

    @contextmanager
    def waiting(self) -> Iterator[OnRefusal]:
        """Waiting of one write, which reports each refusal. Leaving the context ends the waiting."""
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
