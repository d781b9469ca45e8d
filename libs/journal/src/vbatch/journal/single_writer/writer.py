"""One process of a service of which only one may write. It appends a lease and guards every event with it: from a newer
lease on, the server refuses the process's writes, and the process ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from vbatch.contracts.codec import encode
from vbatch.contracts.events import Event
from vbatch.journal.connection_watch import connection_lost
from vbatch.journal.port import Conflict, Fenced, Journal, Lease, Publisher, Rejected, Unavailable
from vbatch.journal.quarantine import Quarantine, QuarantineMeans
from vbatch.journal.single_writer.position import Position

RETRY_SECONDS = 1.0


class SingleWriter:
    """`source` names the service in its events. `passing` lists further errors that say nothing about a place.

    Two errors end every single writer: Fenced and ConnectionLost. For Unavailable and Full, the caller waits.
    """

    def __init__(
        self,
        journal: Journal,
        source: str,
        means: QuarantineMeans | None = None,
        *,
        passing: tuple[type[Exception], ...] = (),
        position: Position | None = None,
    ) -> None:
        self.journal = journal
        self.quarantine = Quarantine(journal.dead, means or QuarantineMeans(), passing=passing)
        self.position = position or Position()
        self._source = source
        self._lease: Lease | None = None

    @property
    def lease(self) -> Lease:
        assert self._lease is not None, "the lease is taken before anything is written"
        return self._lease

    @property
    def epoch(self) -> int:
        """The sequence of the lease; 0 before it is taken."""
        return self._lease.epoch if self._lease else 0

    async def take_lease(self, leased: Event) -> int:
        """Append the lease and return the epoch. From then on every older process of the service cannot write."""
        self._lease = await self.journal.log.acquire(encode(leased, source=self._source))
        self.position.goal = self._lease.epoch
        return self._lease.epoch

    async def append(self, *events: Event) -> int:
        """Store the events, all or none; return the sequence of the last one. The log repeats an append whose answer
        was lost, and finds it stored.

        Raises Fenced; Rejected, when they are dead letters already; Unavailable, Full.
        """
        messages = [encode(event, source=self._source) for event in events]
        guard, log = self.lease.guard(), self.journal.log
        try:
            return await (log.append(messages[0], guard) if len(messages) == 1 else log.append_all(messages, guard))
        except Conflict as error:
            raise Fenced(str(error)) from error
        except Rejected as refusal:
            for message in messages:
                await self.quarantine.refuse(message, refusal)
            raise

    async def record(self, *events: Event) -> int:
        """Append the events and return once this process has folded them, so that nothing is decided twice."""
        sequence = await self.append(*events)
        await self.position.wait_for(sequence)
        return sequence

    @asynccontextmanager
    async def publisher(self) -> AsyncIterator[Publisher]:
        """Pipelined appends under the lease. Leaving the block raises Fenced if a publisher raised Conflict."""
        try:
            async with self.journal.publisher(self.lease) as publisher:
                yield publisher
        except* Conflict as group:
            raise Fenced(f"a newer lease than {self.epoch} exists") from group

    async def watch(self) -> None:
        """Run without end beside the work. Raises Fenced as soon as a newer lease exists, even when nothing is written,
        and ConnectionLost (both in a group)."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_lease())
            tasks.create_task(connection_lost(self.journal))

    async def must_be_newest(self) -> None:
        """Ask the log for the newest lease. Raises Fenced, Unavailable."""
        newest = await self.journal.log.last(self.lease.subject)
        if newest is None or newest.sequence != self.epoch:
            raise Fenced(f"a newer lease than {self.epoch} exists")

    async def _watch_lease(self) -> None:
        while True:
            try:
                await self._await_newer()
            except Unavailable:
                await asyncio.sleep(RETRY_SECONDS)  # the duties decide what to do without the log

    async def _await_newer(self) -> None:
        async with self.journal.log.tail(self.epoch, (self.lease.subject,)) as arrivals:
            async for records in arrivals:
                raise Fenced(f"a newer lease than {self.epoch} exists, at {records[-1].sequence}")
