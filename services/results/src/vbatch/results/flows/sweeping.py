"""Removes the bytes of files and answers that clients can no longer request, and counts the dead letters, at intervals.

It appends nothing to the log: which files are deleted or expired follows from the log and the clock, so a rebuild knows
it too. A blob is only removed after a period of grace, within which a batch that was just accepted on the file is
projected.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from vbatch.chassis.blobs import Blobs, BlobTrouble
from vbatch.chassis.logs import get_logger
from vbatch.journal.port import DeadLetters, Unavailable
from vbatch.results.flows.answer_sweeping import AnswerSweep
from vbatch.results.ports import ReadModel, Trouble

FILES_AT_ONCE = 200


@dataclass(frozen=True)
class SweepTimes:
    """`grace_seconds` is the time between the end of a file and the removal of its bytes."""

    every_seconds: float
    grace_seconds: float


class Sweeper:
    """Sweeps once the projection has caught up: before that, the batch that reads a file may come later in the log."""

    def __init__(
        self,
        read_model: ReadModel,
        blobs: Blobs,
        dead: DeadLetters,
        answers: AnswerSweep,
        *,
        times: SweepTimes,
        now: Callable[[], datetime],
        is_caught_up: Callable[[], bool],
        on_dead_letters: Callable[[int], None],
    ) -> None:
        self._read_model = read_model
        self._blobs = blobs
        self._dead = dead
        self._answers = answers
        self._times = times
        self._now = now
        self._is_caught_up = is_caught_up
        self._on_dead_letters = on_dead_letters
        self._swept: set[int] = set()

    async def run(self) -> None:
        """Sweep until cancelled; trouble is logged and tried again in the next round."""
        while True:
            try:
                await self._round()
            except (Trouble, BlobTrouble, Unavailable) as error:
                get_logger().warning("sweep_interrupted", reason=f"{type(error).__name__}: {error}")
            await asyncio.sleep(self._times.every_seconds)

    async def _round(self) -> None:
        self._on_dead_letters(await self._dead.count())
        await self._blobs.remove_abandoned()
        if self._is_caught_up():
            await self.sweep()
        await self._answers.sweep()

    async def sweep(self) -> None:
        """Remove every file once per process; a blob that is already gone is not an error."""
        gone_before = self._now() - timedelta(seconds=self._times.grace_seconds)
        after = 0
        while files := await self._read_model.unwanted_files(gone_before, after, FILES_AT_ONCE):
            for file in files:
                if file.sequence not in self._swept:
                    await self._blobs.delete(file.blob)
                    self._swept.add(file.sequence)
                    get_logger().info("bytes_removed", file_id=file.id, blob=file.blob, bytes=file.bytes)
            after = files[-1].sequence
