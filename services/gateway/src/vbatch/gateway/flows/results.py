"""Answers so far: the growing JSONL while a batch runs, its sealed files once it is over, pages by input line, or the
growing JSONL from a byte on, followed as it grows.

Once a file of an ended batch is deleted or has expired, all of these answer as that file's content does: the growing
JSONL holds the lines of both files and is never used instead of one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from vbatch.chassis.blobs import BlobMissing
from vbatch.contracts.ids import OwnerId
from vbatch.contracts.read_model import partial_results_path
from vbatch.contracts.subjects import batch_events
from vbatch.gateway.core.pages import ListResultsParams, TailResultsParams
from vbatch.gateway.core.records import BatchRecord, FileRecord, OutcomePlace
from vbatch.gateway.core.refusals import no_such_file
from vbatch.gateway.flows.batches import find_batch
from vbatch.gateway.flows.files import find_file
from vbatch.gateway.flows.live_events import arrived
from vbatch.gateway.flows.writing import can_read
from vbatch.gateway.ports import Dependencies

LINES_READ_AT_ONCE = 32
LOOK_SECONDS = 15.0
"""A follower checks the batch at least this often, in case results is slower than its log."""


@dataclass(frozen=True, slots=True)
class Results:
    """`last_line` is the highest input line among those sent; more may follow if `is_incomplete`. `next_byte` is where
    the growing JSONL ended; None for answers that are not read from it in order."""

    is_incomplete: bool
    last_line: int
    content: AsyncGenerator[bytes, None]
    next_byte: int | None = None


async def results_so_far(
    dependencies: Dependencies, owner: OwnerId, batch_id: str, params: ListResultsParams | None
) -> Results:
    """Return the answers so far. Raises Refusal if the batch is unknown or its file is deleted."""
    batch = await find_batch(dependencies, owner, batch_id)
    files = await sealed_files(dependencies, owner, batch)
    if params is not None:
        return await _page(dependencies, batch, params)
    last_line = await dependencies.reads.last_line(batch)
    if batch.is_over:
        return Results(False, last_line, _sealed(dependencies, files))
    return Results(True, last_line, _growing(dependencies, batch, 0), batch.partial_bytes)


async def results_from(dependencies: Dependencies, owner: OwnerId, batch_id: str, params: TailResultsParams) -> Results:
    """Return answers in the order recorded, whether the batch is over or not: a recorded answer never changes its
    place. If the client follows, the content ends with the batch.

    Raises Refusal if the batch is unknown or its file is deleted.
    """
    batch = await find_batch(dependencies, owner, batch_id)
    await sealed_files(dependencies, owner, batch)
    last_line = await dependencies.reads.last_line(batch)
    if params.is_following:
        return Results(not batch.is_over, last_line, _followed(dependencies, owner, batch, params.after_byte))
    return Results(not batch.is_over, last_line, _growing(dependencies, batch, params.after_byte), batch.partial_bytes)


async def _page(dependencies: Dependencies, batch: BatchRecord, params: ListResultsParams) -> Results:
    places = await dependencies.reads.outcomes(batch, params)
    last_line = places[-1].line if places else params.after_line
    is_incomplete = not batch.is_over or len(places) == params.limit
    return Results(is_incomplete, last_line, _lines(dependencies, batch, places))


async def sealed_files(dependencies: Dependencies, owner: OwnerId, batch: BatchRecord) -> list[FileRecord]:
    """Return the output file before the error file; none while the batch runs. Raises Refusal for the first one that is
    deleted."""
    if not batch.is_over:
        return []
    return [
        await find_file(dependencies, owner, file_id)
        for file_id in (batch.output_file_id, batch.error_file_id)
        if file_id is not None
    ]


async def _sealed(dependencies: Dependencies, files: list[FileRecord]) -> AsyncGenerator[bytes, None]:
    for file in files:
        try:
            async for piece in dependencies.blobs.read_stream(file.blob):
                yield piece
        except BlobMissing as error:  # deleted after it was looked up
            raise no_such_file(file.id) from error


async def _growing(dependencies: Dependencies, batch: BatchRecord, start: int) -> AsyncGenerator[bytes, None]:
    if start >= batch.partial_bytes:
        return  # there may be no file yet
    path = partial_results_path(batch.id, batch.partial_folder)
    try:
        async for piece in dependencies.partial.read_stream(path, start, batch.partial_bytes):
            yield piece
    except BlobMissing as error:
        raise answers_gone(batch, error) from error


async def _followed(
    dependencies: Dependencies, owner: OwnerId, batch: BatchRecord, start: int
) -> AsyncGenerator[bytes, None]:
    async with dependencies.log.tail(batch.version, [batch_events(batch.id)]) as tail:
        while True:
            async for piece in _growing(dependencies, batch, start):
                yield piece
            start = max(start, batch.partial_bytes)
            if batch.is_over:
                return
            if records := await arrived(tail, LOOK_SECONDS):
                await can_read(dependencies, records[-1].sequence)
            batch = await find_batch(dependencies, owner, batch.id)
            await sealed_files(dependencies, owner, batch)


async def _lines(
    dependencies: Dependencies, batch: BatchRecord, places: list[OutcomePlace]
) -> AsyncGenerator[bytes, None]:
    for first in range(0, len(places), LINES_READ_AT_ONCE):
        ranges = [(place.start, place.length) for place in places[first : first + LINES_READ_AT_ONCE]]
        path = partial_results_path(batch.id, batch.partial_folder)
        try:
            yield b"".join(await dependencies.partial.read_ranges(path, ranges))
        except BlobMissing as error:
            raise answers_gone(batch, error) from error


def answers_gone(batch: BatchRecord, error: BlobMissing) -> Exception:
    """Explain a missing growing JSONL: it was just deleted with a sealed file; if the batch still runs, it is lost."""
    file_id = batch.output_file_id or batch.error_file_id
    return error if file_id is None else no_such_file(file_id)
