"""The two requests that make batches: a batch from its parameters, or a retry of an earlier batch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from vbatch.chassis.blobs import BlobMissing
from vbatch.contracts import completion_window, events as e
from vbatch.contracts.ids import BatchId, OwnerId, made_file_id
from vbatch.gateway.core.answer_lines import LinesParams
from vbatch.gateway.core.batches.create_batch import CreateBatchParams, is_made_by
from vbatch.gateway.core.batches.fanout import fanned_out
from vbatch.gateway.core.batches.retry import (
    Outcomes,
    RetryParams,
    SelectedLines,
    Selection,
    is_retry_by,
    priority_of_retry,
    retry_content,
)
from vbatch.gateway.core.records import BatchRecord, FileRecord
from vbatch.gateway.core.refusals import Reason, Refusal, no_such_model
from vbatch.gateway.flows.made_files import made_file
from vbatch.gateway.ports import Dependencies

OUTCOMES_AT_ONCE = 10_000


class NewBatch(Protocol):
    """A request for a batch."""

    @property
    def priority(self) -> int: ...

    @property
    def batch_count(self) -> int: ...

    def is_made_by(self, batch: BatchRecord) -> bool:
        """Whether this request created the batch."""
        ...

    async def events(
        self, dependencies: Dependencies, owner: OwnerId, batch_id: BatchId
    ) -> tuple[list[e.FileStored], list[e.BatchCreated]]:
        """Return what must be appended together: the batch with this id, then the others of its fan-out. The bytes of a
        file that is made for them are stored. Raises Refusal."""
        ...


@dataclass(frozen=True, slots=True)
class Created:
    """A batch from the parameters of a client."""

    params: CreateBatchParams

    @property
    def priority(self) -> int:
        return self.params.priority

    @property
    def batch_count(self) -> int:
        return len(self.params.models) or 1

    def is_made_by(self, batch: BatchRecord) -> bool:
        return is_made_by(batch, self.params)

    async def events(
        self, dependencies: Dependencies, owner: OwnerId, batch_id: BatchId
    ) -> tuple[list[e.FileStored], list[e.BatchCreated]]:
        await self._must_know_models(dependencies)
        params, now = self.params, dependencies.now()
        created = e.BatchCreated(
            at=now,
            batch_id=batch_id,
            owner=owner,
            input_file_id=params.input_of(batch_id),
            endpoint=params.endpoint,
            completion_window=params.completion_window,
            expires_at=now + timedelta(seconds=params.window_seconds),
            metadata=params.metadata,
            output_expires_after_seconds=params.output_expires_after_seconds,
            priority=params.priority,
            pause_on=params.pause_on,
        )
        return await self._inputs(dependencies, created), fanned_out(created, params.models)

    async def _must_know_models(self, dependencies: Dependencies) -> None:
        """Raises Refusal for an unknown model: otherwise a mistyped name would be a fault of every line."""
        for model in self.params.models:
            if await dependencies.reads.model(model) is None:
                raise no_such_model(model, "models")

    async def _inputs(self, dependencies: Dependencies, created: e.BatchCreated) -> list[e.FileStored]:
        if self.params.requests is None:
            return []
        filename, pieces = f"{created.batch_id}_requests.jsonl", _whole(self.params.requests)
        return [
            await made_file(
                dependencies, created.owner, file_id=created.input_file_id, filename=filename, pieces=pieces
            )
        ]


@dataclass(frozen=True, slots=True)
class Retried:
    """A batch that runs requests of an ended batch again, from an input file with only those requests."""

    batch: BatchRecord
    params: RetryParams

    @property
    def priority(self) -> int:
        return priority_of_retry(self.batch, self.params)

    @property
    def batch_count(self) -> int:
        return 1

    def is_made_by(self, batch: BatchRecord) -> bool:
        return is_retry_by(batch, self.batch, self.params)

    async def events(
        self, dependencies: Dependencies, owner: OwnerId, batch_id: BatchId
    ) -> tuple[list[e.FileStored], list[e.BatchCreated]]:
        retried, now = self.batch, dependencies.now()
        file_id = made_file_id(batch_id, retry_content(retried, self.params))
        pieces = _selected(dependencies, owner, retried, self.params)
        filename = f"{retried.id}_retry.jsonl"
        stored = await made_file(dependencies, owner, file_id=file_id, filename=filename, pieces=pieces)
        window = self.params.completion_window or retried.completion_window
        created = e.BatchCreated(
            at=now,
            batch_id=batch_id,
            owner=owner,
            input_file_id=file_id,
            endpoint=retried.endpoint,
            completion_window=window,
            expires_at=now + timedelta(seconds=completion_window.seconds_of(window)),
            metadata=retried.metadata,
            output_expires_after_seconds=retried.output_expires_after_seconds,
            priority=self.priority,
            retry_of=retried.id,
            model=retried.asked_model,
            pause_on=retried.pause_on,
        )
        return [stored], [created]


async def _selected(
    dependencies: Dependencies, owner: OwnerId, batch: BatchRecord, params: RetryParams
) -> AsyncIterator[bytes]:
    """Yield the lines of the batch's input file that run again. Raises Refusal if there are none, or the file is
    deleted."""
    file = await dependencies.reads.file(owner, batch.input_file_id, dependencies.now())
    if file is None:
        raise _input_gone(batch)
    selection = Selection(params, await _outcomes(dependencies, batch))
    lines = SelectedLines(selection.has)
    async for block in _blocks(dependencies, batch, file):
        yield await asyncio.to_thread(lines.feed, block)
    yield lines.end()
    selection.check(lines.count)


async def _blocks(dependencies: Dependencies, batch: BatchRecord, file: FileRecord) -> AsyncIterator[bytes]:
    try:
        async for block in dependencies.blobs.read_stream(file.blob):
            yield block
    except BlobMissing as error:  # deleted after it was looked up
        raise _input_gone(batch) from error


async def _outcomes(dependencies: Dependencies, batch: BatchRecord) -> Outcomes:
    """Return the outcome of each line, as far as the batch has answers."""
    outcomes, after_line = Outcomes(batch.status), 0
    while page := await dependencies.reads.lines(batch, LinesParams(after_line, OUTCOMES_AT_ONCE)):
        for record in page:
            outcomes.note(record.line, is_success=record.is_success)
        after_line = page[-1].line
        await asyncio.sleep(0)
    return outcomes


async def _whole(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _input_gone(batch: BatchRecord) -> Refusal:
    words = "was deleted or has expired, so its requests cannot run again"
    return Refusal(Reason.NO_SUCH_FILE, f"The input file {batch.input_file_id} of this batch {words}.", "input_file_id")
