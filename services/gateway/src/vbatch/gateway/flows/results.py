"""Answers so far: the growing JSONL while a batch runs, its sealed files once it is over, or pages by input line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from vbatch.contracts.ids import OwnerId
from vbatch.contracts.read_model import partial_results_path
from vbatch.gateway.core.pages import ResultsAsk
from vbatch.gateway.core.records import BatchRecord, FileRecord, OutcomePlace
from vbatch.gateway.flows.batches import find_batch
from vbatch.gateway.ports import World

LINES_READ_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Results:
    """`last_line` is the highest input line among those sent; more may follow when `is_incomplete`."""

    is_incomplete: bool
    last_line: int
    content: AsyncIterator[bytes]


async def results_so_far(world: World, owner: OwnerId, batch_id: str, ask: ResultsAsk | None) -> Results:
    """Raises Refusal (E4, E5)."""
    batch = await find_batch(world, owner, batch_id)
    if ask is not None:
        return await _page(world, batch, ask)
    last_line = await world.reads.last_line(batch)
    if batch.is_over:
        return Results(False, last_line, _sealed(world, await _sealed_files(world, owner, batch)))
    return Results(True, last_line, _growing(world, batch))


async def _page(world: World, batch: BatchRecord, ask: ResultsAsk) -> Results:
    places = await world.reads.outcomes(batch, ask)
    last_line = places[-1].line if places else ask.after_line
    is_incomplete = not batch.is_over or len(places) == ask.limit
    return Results(is_incomplete, last_line, _lines(world, batch, places))


async def _sealed_files(world: World, owner: OwnerId, batch: BatchRecord) -> list[FileRecord]:
    """Output before error; a file that its owner deleted is gone here too."""
    now = world.now()
    ids = [file_id for file_id in (batch.output_file_id, batch.error_file_id) if file_id is not None]
    found = [await world.reads.file(owner, file_id, now) for file_id in ids]
    return [file for file in found if file is not None]


async def _sealed(world: World, files: list[FileRecord]) -> AsyncIterator[bytes]:
    for file in files:
        async for piece in world.blobs.read_stream(file.blob):
            yield piece


async def _growing(world: World, batch: BatchRecord) -> AsyncIterator[bytes]:
    if batch.partial_bytes == 0:
        return  # there may be no file yet
    async for piece in world.partial.read_stream(
        partial_results_path(batch.id, batch.partial_folder), 0, batch.partial_bytes
    ):
        yield piece


async def _lines(world: World, batch: BatchRecord, places: list[OutcomePlace]) -> AsyncIterator[bytes]:
    for first in range(0, len(places), LINES_READ_AT_ONCE):
        ranges = [(place.start, place.length) for place in places[first : first + LINES_READ_AT_ONCE]]
        yield b"".join(await world.partial.read_ranges(partial_results_path(batch.id, batch.partial_folder), ranges))
