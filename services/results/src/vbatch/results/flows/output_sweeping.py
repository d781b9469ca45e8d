"""Removes the answers of files that were deleted or have expired from the other places that hold them: the growing
JSONL of the batch, which holds the lines of both its files, and the large answers in the blob store.

The log keeps its own content: answers that fitted into a chunk. A note of its length replaces a large answer, so that a
rebuild gives the same rows. No period of grace is needed: no batch reads an output file.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import datetime

from vbatch.chassis.blobs import BlobMissing, Blobs, BlobTrouble
from vbatch.chassis.logs import get_logger
from vbatch.contracts import events as e
from vbatch.contracts.answers import (
    ANSWERS,
    REMOVAL_NOTE_BYTES_MAX,
    epoch_of,
    removal_note,
    removed_mark,
    swept_mark,
)
from vbatch.contracts.ids import OutputKind
from vbatch.contracts.lines import single_line
from vbatch.contracts.subjects import chunks_of
from vbatch.journal.port import Log, Unavailable
from vbatch.results.core.sealing import kind_of
from vbatch.results.flows.transacting import BODY_BYTES_MAX, decode_all
from vbatch.results.ports import GoneOutput, PartialFiles, ReadModel, Trouble

FILES_AT_ONCE = 200


class OutputSweep:
    """Sweeps each file once per process, soon after it is deleted."""

    def __init__(
        self,
        log: Log,
        read_model: ReadModel,
        partials: PartialFiles,
        blobs: Blobs,
        *,
        every_seconds: float,
        now: Callable[[], datetime],
        is_caught_up: Callable[[], bool],
    ) -> None:
        self._log = log
        self._read_model = read_model
        self._partials = partials
        self._blobs = blobs
        self._every_seconds = every_seconds
        self._now = now
        self._is_caught_up = is_caught_up
        self._deleted = asyncio.Event()
        self._swept: set[int] = set()

    def file_deleted(self) -> None:
        """Sweep now instead of in the next round."""
        self._deleted.set()

    async def run(self) -> None:
        """Sweep until cancelled; trouble is logged and tried again in the next round."""
        while True:
            self._deleted.clear()
            try:
                if self._is_caught_up():
                    await self.sweep()
            except (Trouble, BlobTrouble, Unavailable) as error:
                get_logger().warning("output_sweep_interrupted", reason=f"{type(error).__name__}: {error}")
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every_seconds):
                    await self._deleted.wait()

    async def sweep(self) -> None:
        outputs = [
            output async for output in gone_outputs(self._read_model, self._now()) if output.sequence not in self._swept
        ]
        if not outputs:
            return
        has_large_answers = await self._has_large_answers()
        for output in outputs:
            if await self._is_swept(output, has_large_answers=has_large_answers):
                self._swept.add(output.sequence)
                get_logger().info("answers_removed", file_id=output.file_id, batch_id=output.batch_id)

    async def _is_swept(self, output: GoneOutput, *, has_large_answers: bool) -> bool:
        """Remove the answers; return whether they are removed. False if a copy must wait for a running rebuild."""
        await asyncio.to_thread(self._partials.remove, output.batch_id)
        if has_large_answers:
            for kind in output.kinds:
                await self._remove_large_answers(output, kind)
        return await asyncio.to_thread(self._partials.remove_copies, output.batch_id)

    async def _remove_large_answers(self, output: GoneOutput, kind: OutputKind) -> None:
        """Remove the large answers of one file. The log is read only if there are any, and once for each file."""
        mark = removed_mark(output.batch_id, kind)
        if await self._blobs.exists(mark):
            return
        async for blob in self._large_answers(output, kind):
            await self._replace_by_note(blob)
        async with self._blobs.writer(mark) as writer:
            await writer.write(b"")

    async def _has_large_answers(self) -> bool:
        blobs = await self._blobs.older_than(0, ANSWERS, is_deep=True)
        return any((epoch := epoch_of(blob)) is not None and blob != swept_mark(epoch) for blob in blobs)

    async def _large_answers(self, output: GoneOutput, kind: OutputKind) -> AsyncIterator[str]:
        """The large answers of this kind to which any chunk of the batch refers, whether they counted or not."""
        newest = await self._log.last(chunks_of(output.batch_id))
        if newest is None:
            return
        async with self._log.tail(output.batch_sequence, (chunks_of(output.batch_id),)) as arrivals:
            async for records in arrivals:
                for event in await asyncio.to_thread(decode_all, records):
                    if isinstance(event, e.ChunkCompleted):
                        for outcome in event.outcomes:
                            if outcome.body_blob is not None and kind_of(outcome.status_code) == kind:
                                yield outcome.body_blob
                if records[-1].sequence >= newest.sequence:
                    return

    async def _replace_by_note(self, blob: str) -> None:
        try:
            if await self._blobs.size(blob) <= REMOVAL_NOTE_BYTES_MAX:
                return
            body = b"".join([block async for block in self._blobs.read_stream(blob, end=BODY_BYTES_MAX)])
        except BlobMissing:
            return
        size = len(await asyncio.to_thread(single_line, body))
        async with self._blobs.writer(blob) as writer:
            await writer.write(removal_note(size))


async def gone_outputs(read_model: ReadModel, now: datetime) -> AsyncIterator[GoneOutput]:
    """Every output and error file that was deleted or has expired, of batches that have ended."""
    after = 0
    while outputs := await read_model.gone_outputs(now, after, FILES_AT_ONCE):
        for output in outputs:
            yield output
        after = outputs[-1].sequence
