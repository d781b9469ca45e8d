"""The loop of a service that decides from what it has folded: decide, append, read back, act, wait.

It acts only on what it has read back from the log, including its own events. So nothing is decided twice, and a new
process that folds the same log continues where the old one stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

from vbatch.contracts.events import AnyEvent, Event
from vbatch.journal.single_writer.folding import ALL, Folding
from vbatch.journal.single_writer.writer import SingleWriter

S = TypeVar("S")
TICK_SECONDS = 0.5
"""The longest delay until the service notices something that is due by time alone, such as an expiry."""


@dataclass(frozen=True)
class Decider(Generic[S]):
    """The rules of a service, after emmett's Decider. `evolve` folds an event and its sequence into the state, in
    place. `decide` returns the events that follow from the current state."""

    initial: S
    evolve: Callable[[S, AnyEvent, int], None]
    decide: Callable[[S], Sequence[Event]]


async def _no_act() -> None:
    """The default: the service does nothing outside the log."""


@dataclass(frozen=True, kw_only=True)
class Deciding:
    """`append` returns once its event is folded, or never will be. `act` performs the effects outside the log; it may
    return the longest time until the next look, in seconds. `changed` is set by code that changes what `decide`
    sees."""

    writer: SingleWriter
    decide: Callable[[], Sequence[Event]]
    append: Callable[[Event], Awaitable[object]]
    act: Callable[[], Awaitable[float | None]] = _no_act
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Run without end, from the moment when all the past is folded. Raises what `append` and `act` raise."""
        await self.writer.position.caught_up()
        while True:
            self.changed.clear()
            events = self.decide()
            for event in events:
                await self.append(event)
            seconds = await self.act()
            if not events:
                await self._rest(TICK_SECONDS if seconds is None else seconds)

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self.changed.wait()
        except TimeoutError:
            return  # an event may have become due by time alone


async def run(writer: SingleWriter, decider: Decider[S], leased: Event, subjects: Sequence[str] = ALL) -> None:
    """Run a whole service: take the lease, fold the past, decide until fenced. The subjects include the lease.

    Raises a group of the errors that ended it: Fenced, ConnectionLost, or an error of its own.
    """
    await writer.take_lease(leased)
    deciding = Deciding(writer=writer, decide=partial(decider.decide, decider.initial), append=writer.record)
    folding = Folding(writer=writer, evolve=partial(decider.evolve, decider.initial), on_folded=deciding.changed.set)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(writer.watch())
        tasks.create_task(folding.follow(subjects=subjects))
        tasks.create_task(deciding.run())
