"""Writes the final files of batches whose counting is over, several at once, beside the projection.

Everything it writes follows from the log, so a seal that a crash interrupted is simply repeated.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime

from vbatch.chassis.backoff import Backoff
from vbatch.chassis.blobs import Blobs, BlobWriter
from vbatch.chassis.failpoints import Failpoint, reached
from vbatch.chassis.logs import get_logger
from vbatch.contracts import events as e
from vbatch.contracts.ids import BatchId, OutputKind
from vbatch.journal.port import Rejected
from vbatch.journal.single_writer import SingleWriter
from vbatch.results.core import sealing as rules
from vbatch.results.core.projection import State
from vbatch.results.core.sealing import SealedFile, SealRefused
from vbatch.results.flows.retrying import ASK_SECONDS_MAX, FIRST_SECONDS, PASSING, WORK_SECONDS_MAX
from vbatch.results.flows.sealed_pages import KINDS, Page, SealedPages
from vbatch.results.ports import PartialFiles, ReadModel, Sealable

SHORT_SEALS_AT_ONCE_MAX, LONG_SEALS_AT_ONCE_MAX = 2, 1
LONG_SEAL_REQUESTS = 100_000
"""A seal of this size takes a second or more. It runs separately, so that a small batch never waits for one."""
SOURCE = "results"


class Sealer:
    """Seals batches once the projection has caught up.

    `trouble` is what delays the seals that wait for a retry; `refused` are the seals that a retry will not help.
    """

    def __init__(
        self,
        writer: SingleWriter,
        *,
        read_model: ReadModel,
        partials: PartialFiles,
        blobs: Blobs,
        now: Callable[[], datetime],
        on_sealed: Callable[[e.BatchSealed, int], None],
    ) -> None:
        self._writer = writer
        self._quarantine = writer.quarantine
        self._read_model = read_model
        self._pages = SealedPages(read_model, partials, blobs)
        self._blobs = blobs
        self._now = now
        self._on_sealed = on_sealed
        self._short: asyncio.Queue[BatchId] = asyncio.Queue()
        self._long: asyncio.Queue[BatchId] = asyncio.Queue()
        self._taken: set[BatchId] = set()
        self.trouble: dict[BatchId, str] = {}
        self.refused: dict[BatchId, str] = {}

    def offer(self, state: State) -> None:
        """Seal the batches in this state that are counted; each is taken once. Ended ones are forgotten."""
        self._taken &= state.batches.keys()
        for batch_id, batch in state.batches.items():
            if batch.row.is_counted and batch_id not in self._taken:
                self._taken.add(batch_id)
                waiting = self._long if batch.row.total >= LONG_SEAL_REQUESTS else self._short
                waiting.put_nowait(batch_id)

    async def run(self) -> None:
        """Seal until cancelled. Raises Fenced when a newer results process has the lease."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(SHORT_SEALS_AT_ONCE_MAX):
                tasks.create_task(self._work(self._short))
            for _ in range(LONG_SEALS_AT_ONCE_MAX):
                tasks.create_task(self._work(self._long))

    async def _work(self, waiting: asyncio.Queue[BatchId]) -> None:
        while True:
            batch_id = await waiting.get()
            place = f"seal:{batch_id}"
            if self._quarantine.is_poison(place):
                self.refused[batch_id] = self._quarantine.reason(place)
                self._quarantine.tell(place)
                continue
            with self._quarantine.watch(place):
                await self._seal_at_last(batch_id)

    async def _seal_at_last(self, batch_id: BatchId) -> None:
        backoff = Backoff(FIRST_SECONDS, WORK_SECONDS_MAX)
        while sealable := await self._sealable(batch_id):
            try:
                await self._seal(sealable)
                break
            except PASSING as error:
                self._hold_up(batch_id, error)
            except SealRefused as error:
                self.refused[batch_id] = str(error)
                get_logger().error("seal_refused", batch_id=batch_id, reason=str(error))
                break
            await asyncio.sleep(backoff.seconds())
        self.trouble.pop(batch_id, None)

    async def _sealable(self, batch_id: BatchId) -> Sealable | None:
        """The batch to seal, as soon as the database can be read."""
        backoff = Backoff(FIRST_SECONDS, ASK_SECONDS_MAX)
        while True:
            try:
                return await self._read_model.sealable(batch_id)
            except PASSING as error:
                self._hold_up(batch_id, error)
            await asyncio.sleep(backoff.seconds())

    def _hold_up(self, batch_id: BatchId, error: Exception) -> None:
        self.trouble[batch_id] = f"{type(error).__name__}: {error}"
        get_logger().warning("seal_interrupted", batch_id=batch_id, reason=str(error))

    async def _seal(self, sealable: Sealable) -> None:
        batch_id = sealable.row.id
        files = await self._write_files(sealable)
        reached(Failpoint.OUTPUT_SEALED)
        rules.must_be_whole(sealable.row, files)
        for kind, file in files.items():
            await self._append(rules.file_stored(sealable.row, kind, file))
            reached(Failpoint.OUTPUT_RECORDED)
        event = rules.sealed(sealable.row, files, self._now())
        await self._append(event)
        reached(Failpoint.END_RECORDED)
        self._on_sealed(event, sum(file.bytes for file in files.values()))
        get_logger().info("batch_sealed", batch_id=batch_id, ending=sealable.row.ending, files=len(files))

    async def _append(self, event: e.Event) -> None:
        try:
            await self._writer.append(event)
        except Rejected as refusal:
            raise SealRefused(f"its end was refused: {refusal}") from refusal

    async def _write_files(self, sealable: Sealable) -> dict[OutputKind, SealedFile]:
        files = _Files(self._blobs, sealable.row.id)
        async with AsyncExitStack() as stack:
            async for page in self._pages.of(sealable):
                await files.write(stack, page)
        return files.written()


class _Files:
    """The two blobs of one seal: each begins with its first line, and is complete when the stack is left."""

    def __init__(self, blobs: Blobs, batch_id: str) -> None:
        self._blobs = blobs
        self._batch_id = batch_id
        self._open: dict[OutputKind, _File] = {}

    async def write(self, stack: AsyncExitStack, page: Page) -> None:
        if page.kind not in self._open:
            name = rules.blob_name(self._batch_id, page.kind)
            self._open[page.kind] = _File(name, await stack.enter_async_context(self._blobs.writer(name)))
        await self._open[page.kind].write(page)

    def written(self) -> dict[OutputKind, SealedFile]:
        return {kind: self._open[kind].sealed() for kind in KINDS if kind in self._open}


class _File:
    def __init__(self, name: str, writer: BlobWriter) -> None:
        self._name = name
        self._writer = writer
        self._sha256 = hashlib.sha256()
        self._line_count = 0

    async def write(self, page: Page) -> None:
        self._line_count += page.line_count
        await asyncio.to_thread(self._sha256.update, page.content)
        await self._writer.write(page.content)

    def sealed(self) -> SealedFile:
        return SealedFile(self._name, self._writer.size, self._sha256.hexdigest(), self._line_count)
