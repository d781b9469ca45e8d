"""Data sets: a version is made of judged answers, listed, exported, deleted."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncGenerator, Sequence

from vbatch.contracts import events as e
from vbatch.contracts.codec import decode
from vbatch.contracts.ids import BatchId, OwnerId, dataset_id_of
from vbatch.contracts.subjects import dataset_events
from vbatch.gateway.core.access import Caller
from vbatch.gateway.core.curation.consensus import answers_judged, pairs_compared
from vbatch.gateway.core.curation.datasets import (
    ANSWERS_MAX,
    Content,
    DatasetParams,
    DatasetRecord,
    content_of,
    no_such_dataset,
    nothing_selected,
)
from vbatch.gateway.core.curation.examples import Exchange, answers_needed, examples_of, exchanges_of
from vbatch.gateway.core.curation.export_formats import ExportFormat, export_lines
from vbatch.gateway.core.curation.judgements import AnswerKey
from vbatch.gateway.core.refusals import Reason, Refusal, unavailable
from vbatch.gateway.flows.batches import find_batch
from vbatch.gateway.flows.curation.answered import answered_lines
from vbatch.gateway.flows.quotas import must_have_room_for_bytes
from vbatch.gateway.flows.writing import append, can_read, must_read
from vbatch.gateway.ports import CurationReads, Dependencies
from vbatch.journal.port import Conflict, Guard

DATASETS = "datasets"
"""The folder of the data sets' blobs."""
BLOCK_BYTES = 1 << 20
TRIES = 5
"""How many versions of one data set may be created at the same moment."""


class Datasets:
    def __init__(self, dependencies: Dependencies, reads: CurationReads) -> None:
        self._dependencies = dependencies
        self._reads = reads
        self._one_at_a_time = asyncio.Lock()

    async def create(self, caller: Caller, params: DatasetParams) -> DatasetRecord:
        """Create the next version of the data set. Raises Refusal if it would be empty, or if an answer is deleted."""
        async with self._one_at_a_time:  # a large one takes hundreds of megabytes
            sequence = await self._sequence(params.sequence)
            content = await self._content(caller.owner, params, sequence)
            return await self._stored(caller, params, sequence, content)

    async def versions(self, owner: OwnerId, name: str | None = None) -> list[DatasetRecord]:
        """Return the versions by name, newest first."""
        return await self._reads.datasets(owner, name)

    async def find(self, owner: OwnerId, name: str, version: int | None) -> DatasetRecord:
        """Return this version, or the newest one for None. Raises Refusal."""
        versions = await self._reads.datasets(owner, name)
        found = next((record for record in versions if version in (None, record.version)), None)
        if found is None:
            raise no_such_dataset(name, version)
        return found

    async def delete(self, caller: Caller, name: str, version: int | None) -> DatasetRecord:
        """Delete the version and its lines, and return it. Raises Refusal."""
        record = await self.find(caller.owner, name, version)
        event = e.DatasetVersionDeleted(
            at=self._dependencies.now(),
            owner=caller.owner,
            dataset_id=record.dataset_id,
            version=record.version,
            by=caller.name,
        )
        await must_read(self._dependencies, await append(self._dependencies, event))
        await self._dependencies.blobs.delete(record.blob)
        return record

    async def export(
        self, record: DatasetRecord, export_format: ExportFormat, *, split: str | None, has_lineage: bool
    ) -> AsyncGenerator[bytes, None]:
        """Return the JSON lines, block by block."""
        rest = b""
        async for block in self._dependencies.blobs.read_stream(record.blob, chunk_bytes=BLOCK_BYTES):
            whole, newline, rest = (rest + block).rpartition(b"\n")
            if newline:
                lines = await asyncio.to_thread(
                    export_lines, whole.split(b"\n"), export_format, split=split, has_lineage=has_lineage
                )
                yield b"".join(line + b"\n" for line in lines)

    async def _sequence(self, asked: int | None) -> int:
        """Return the sequence up to which the log is read; the read model has reached it. Raises Refusal."""
        head = await self._dependencies.log.last_sequence()
        if asked is not None and asked > head:
            words = f"'at_sequence' is {asked}, but the event log ends at {head}."
            raise Refusal(Reason.VALUE_INVALID, words, "at_sequence")
        sequence = head if asked is None else asked
        if not await can_read(self._dependencies, sequence):
            raise unavailable("The newest judgements cannot be read yet.")
        return sequence

    async def _content(self, owner: OwnerId, params: DatasetParams, sequence: int) -> Content:
        selection = params.selection
        batches = [await find_batch(self._dependencies, owner, batch_id) for batch_id in selection.batch_ids]
        records = await self._reads.judgements_until(owner, selection.batch_ids, sequence)
        judged, compared = answers_judged(records, selection), pairs_compared(records, selection)
        needed = answers_needed(judged, compared)
        if len(needed) > ANSWERS_MAX:
            words = f"{len(needed):,} answers are judged; a data set takes {ANSWERS_MAX:,}. Name fewer batches."
            raise Refusal(Reason.VALUE_INVALID, words, "batch_ids")
        exchanges: dict[AnswerKey, Exchange] = {}
        left_out: Counter[str] = Counter()
        for batch in batches:
            lines = _lines_of(needed, batch.id)
            async for page in answered_lines(self._dependencies, self._reads, owner, batch, lines):
                found, unusable = await asyncio.to_thread(exchanges_of, page)
                exchanges.update(found)
                left_out.update(unusable)
        examples = await asyncio.to_thread(examples_of, judged, compared, exchanges, selection)
        examples.left_out.update(left_out)
        if not examples.examples:
            raise nothing_selected(examples.left_out)
        return await asyncio.to_thread(content_of, examples, judged, selection)

    async def _stored(self, caller: Caller, params: DatasetParams, sequence: int, content: Content) -> DatasetRecord:
        """Store the blob first, then the event, so that every version in the log can be read."""
        size = sum(map(len, content.lines))
        await must_have_room_for_bytes(self._dependencies, caller.owner, size)
        await self._dependencies.disk_guard.check(size)
        dataset_id = dataset_id_of(caller.owner, params.name)
        blob = f"{DATASETS}/{dataset_id}/{self._dependencies.entropy(16).hex()}"
        digest = hashlib.sha256()
        async with self._dependencies.blobs.writer(blob) as writer:
            for line in content.lines:
                digest.update(line)
                await writer.write(line)
        for _ in range(TRIES):
            guard, version = await self._next_version(dataset_events(dataset_id))
            event = e.DatasetVersionCreated(
                at=self._dependencies.now(),
                owner=caller.owner,
                dataset_id=dataset_id,
                name=params.name,
                version=version,
                by=caller.name,
                sequence=sequence,
                selection=params.selection,
                statistics=content.statistics,
                blob=blob,
                bytes=size,
                sha256=digest.hexdigest(),
            )
            try:
                stored = await append(self._dependencies, event, guard)
            except Conflict:
                continue  # another request created a version a moment ago
            await must_read(self._dependencies, stored)
            return await self.find(caller.owner, params.name, version)
        raise unavailable("Too many versions of this data set are made at once.")

    async def _next_version(self, subject_filter: str) -> tuple[Guard, int]:
        """Return a guard against any event on the data set in the meantime, and the number after the highest one."""
        newest = await self._dependencies.log.last(subject_filter)
        created = await self._dependencies.log.last(f"{subject_filter.removesuffix('>')}version_created")
        event = decode(created) if created is not None else None
        version = event.version + 1 if isinstance(event, e.DatasetVersionCreated) else 1
        return Guard(subject_filter, newest.sequence if newest is not None else 0), version


def _lines_of(keys: Sequence[AnswerKey], batch_id: BatchId) -> list[int]:
    return [key.line for key in keys if key.batch_id == batch_id]
