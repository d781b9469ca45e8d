"""Removes large answers to which no event refers: their runner was killed between the blob and the chunk.

The sweep asks the log itself, and only about epochs that a newer lease has ended. From then on the server refuses what
a runner with such an epoch still writes, so an answer to which no event of the epoch refers by then will never be
referred to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from vbatch.chassis.blobs import Blobs
from vbatch.chassis.logs import get_logger
from vbatch.contracts import events as e
from vbatch.contracts.answers import ANSWERS, swept_mark
from vbatch.contracts.message import Recorded
from vbatch.contracts.subjects import CHUNKS_COMPLETED, RUNNER_LEASES
from vbatch.journal.port import Log
from vbatch.results.core.orphaned_answers import referred, unswept
from vbatch.results.flows.transacting import decode_all


class UnreadableChunk(Exception):
    """Raised when a chunk cannot be read: it may refer to any answer of its epoch, so all of them stay."""


@dataclass(frozen=True, slots=True)
class _Ended:
    """An epoch that has ended: its lease, and the newest record on the lease's subject."""

    lease: Recorded
    end: Recorded


class AnswerSweep:
    """Sweeps each epoch once and leaves a mark beside its answers. The epoch must have ended `grace_seconds` ago: until
    then, a process that was frozen and has resumed may still have written an answer."""

    def __init__(self, log: Log, blobs: Blobs, *, grace_seconds: float, now: Callable[[], datetime]) -> None:
        self._log = log
        self._blobs = blobs
        self._grace = timedelta(seconds=grace_seconds)
        self._now = now
        self._looked_at = 0
        """The newest lease at the last round after which no work remained."""
        self._left_alone: set[int] = set()

    async def sweep(self) -> int:
        """Do one round; return how many blobs were removed. Blobs are only listed after an epoch has ended."""
        newest = await self._log.last(RUNNER_LEASES)
        if newest is None or newest.sequence == self._looked_at:
            return 0
        answers = unswept(await self._blobs.older_than(0, ANSWERS, is_deep=True))
        wanted = [epoch for epoch in sorted(answers.keys() - self._left_alone) if epoch < newest.sequence]
        lives = [life for epoch in wanted if (life := await self._ended(epoch)) is not None]
        removed = sum([await self._swept(life, answers[life.lease.sequence]) for life in lives])
        self._looked_at = newest.sequence if all(self._is_past_grace(life) for life in lives) else 0
        return removed

    async def _ended(self, epoch: int) -> _Ended | None:
        """The ended epoch; None while it is current, and for the answers of another log."""
        lease = await self._lease(epoch)
        end = await self._log.last(lease.subject) if lease else None
        if lease is None or end is None:
            self._leave_alone(epoch, "the log has no such life of a runner")
            return None
        return _Ended(lease, end) if end.sequence > epoch else None

    async def _swept(self, life: _Ended, answers: set[str]) -> int:
        """Remove the answers to which nothing refers; return how many."""
        try:
            strays = answers - await self._referred(life.lease)
        except UnreadableChunk as error:
            self._leave_alone(life.lease.sequence, f"a chunk cannot be read: {error}")
            return 0
        for blob in sorted(strays):
            await self._blobs.delete(blob)
            get_logger().info("stray_answer_removed", blob=blob)
        if self._is_past_grace(life):
            await self._mark(life.lease.sequence)
        return len(strays)

    async def _mark(self, epoch: int) -> None:
        async with self._blobs.writer(swept_mark(epoch)) as writer:
            await writer.write(b"")

    def _is_past_grace(self, life: _Ended) -> bool:
        return life.end.recorded_at + self._grace <= self._now()

    def _leave_alone(self, epoch: int, reason: str) -> None:
        self._left_alone.add(epoch)
        get_logger().error("answers_left_alone", epoch=epoch, reason=reason)

    async def _lease(self, epoch: int) -> Recorded | None:
        """The record that began this epoch; a newer lease exists, so the wait ends."""
        async with self._log.tail(epoch - 1, (RUNNER_LEASES,), headers_only=True) as arrivals:
            first = (await anext(arrivals))[0]
        return first if first.sequence == epoch else None

    async def _referred(self, lease: Recorded) -> set[str]:
        """All blobs to which the epoch's events refer; it ends at the next record on the subject of its lease."""
        found: set[str] = set()
        async with self._log.tail(lease.sequence, (CHUNKS_COMPLETED, lease.subject)) as arrivals:
            async for records in arrivals:
                chunks = [record for record in records if record.subject != lease.subject]
                found |= await asyncio.to_thread(_referred_by, chunks)
                if len(chunks) < len(records):
                    break
        return found


def _referred_by(records: Sequence[Recorded]) -> set[str]:
    found: set[str] = set()
    for event in decode_all(records):
        if not isinstance(event, e.ChunkCompleted):
            raise UnreadableChunk(str(event))
        found |= referred(event)
    return found
