"""A second process of a single writer: it waits until the process that has the lease is silent, and then takes the
lease.

Heartbeats are not in the log, and only the moment of the takeover depends on them: the lease fences a process that was
only slow (ADR 49).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from vbatch.journal.port import Log, Unavailable

BEAT_SECONDS = 0.25
SILENCE_SECONDS = 2.0
"""Eight missing heartbeats: longer than a busy loop delays a beat, so that only a dead process is silent."""
LOOK_SECONDS = 0.05


class Heartbeats(Protocol):
    """The heartbeats of one single writer."""

    @property
    def is_connected(self) -> bool: ...

    async def beat(self) -> None:
        """Tell the listeners that this process has the lease. Raises Unavailable."""

    def listen(self, on_beat: Callable[[], None]) -> AbstractAsyncContextManager[None]:
        """Call `on_beat` for each heartbeat while the block runs. Raises Unavailable."""


@dataclass(slots=True)
class Silence:
    """Whether a writer has been silent for too long. Times are seconds of any one clock."""

    since: float

    def heard(self, now: float) -> None:
        """Restart the silence: a heartbeat came, a newer lease was taken, or this process could not have heard one."""
        self.since = now

    def is_too_long(self, now: float) -> bool:
        return now - self.since >= SILENCE_SECONDS


async def keep_beating(heartbeats: Heartbeats) -> None:
    """Beat until cancelled, beside the work of the process that has the lease."""
    while True:
        try:
            await heartbeats.beat()
        except Unavailable:
            pass  # a standby that lost the connection too does not count the silence
        await asyncio.sleep(BEAT_SECONDS)


async def until_silent(heartbeats: Heartbeats, log: Log, lease_subject: str) -> None:
    """Return once the process that has the lease is silent: within SILENCE_SECONDS and a moment of its end.

    When several standbys wait, the others hear the first one that takes the lease, or see its lease.
    """
    clock = asyncio.get_running_loop().time
    silence = Silence(clock())
    lease = await _newest(log, lease_subject)
    async with heartbeats.listen(lambda: silence.heard(clock())):
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if not heartbeats.is_connected:
                silence.heard(clock())
            elif silence.is_too_long(clock()):
                try:
                    newest = await _newest(log, lease_subject)
                except Unavailable:
                    silence.heard(clock())
                    continue
                if newest == lease:
                    return
                lease = newest
                silence.heard(clock())


async def _newest(log: Log, lease_subject: str) -> int:
    record = await log.last(lease_subject)
    return record.sequence if record is not None else 0
