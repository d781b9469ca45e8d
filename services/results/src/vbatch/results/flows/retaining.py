"""Deletes the files that the operator's policy no longer keeps, by the same events as if their owners deleted them.

So all consequences of a deletion apply here too: for bytes, answers and archives, and after a rebuild.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from vbatch.chassis.logs import get_logger
from vbatch.contracts import events as e
from vbatch.journal.port import Full, Unavailable
from vbatch.journal.single_writer import SingleWriter
from vbatch.results.core.retention import AgingFile, BadRetention, RetentionPolicy
from vbatch.results.ports import ReadModel, Trouble

FILES_AT_ONCE = 200


class PolicySource(Protocol):
    """The source of the policy, which may change at any time."""

    def read(self) -> RetentionPolicy:
        """Read the policy. Raises BadRetention."""
        ...


@dataclass(frozen=True)
class RetentionMeans:
    """`on_read` is called after each try with whether the policy could be read."""

    source: PolicySource
    every_seconds: float
    on_read: Callable[[bool], None]


class Retainer:
    """Runs at intervals, once the projection has caught up: before that, a file may have a reader that is not known
    yet."""

    def __init__(
        self,
        means: RetentionMeans,
        writer: SingleWriter,
        read_model: ReadModel,
        *,
        now: Callable[[], datetime],
        is_caught_up: Callable[[], bool],
    ) -> None:
        self._means = means
        self._writer = writer
        self._read_model = read_model
        self._now = now
        self._is_caught_up = is_caught_up
        self._policy = RetentionPolicy()

    async def run(self) -> None:
        """Run until cancelled. Raises Fenced when a newer results process has the lease."""
        while True:
            try:
                if self._is_caught_up():
                    await self.round()
            except (Trouble, Unavailable, Full) as error:
                get_logger().warning("retention_interrupted", reason=f"{type(error).__name__}: {error}")
            await asyncio.sleep(self._means.every_seconds)

    async def round(self) -> None:
        """Delete the files that now exceed the policy. Raises Fenced and passing errors."""
        await self._learn()
        kept = self._policy.shortest()
        if kept is None:
            return
        async for files in self._aging(self._now() - kept):
            for file in self._policy.over(files, self._now()):
                await self._writer.append(e.FileDeleted(at=self._now(), file_id=file.id, owner=file.owner))
                get_logger().info("retention_over", file_id=file.id, owner=file.owner, kind=file.kind)

    async def _learn(self) -> None:
        """Read the policy. If it cannot be read, the previous one stays in force."""
        try:
            self._policy = await asyncio.to_thread(self._means.source.read)
        except BadRetention as error:
            get_logger().error("retention_policy_unreadable", reason=str(error))
            self._means.on_read(False)
        else:
            self._means.on_read(True)

    async def _aging(self, before: datetime) -> AsyncIterator[list[AgingFile]]:
        after = 0
        while files := await self._read_model.aging_files(before, self._now(), after, FILES_AT_ONCE):
            yield files
            after = files[-1].sequence
