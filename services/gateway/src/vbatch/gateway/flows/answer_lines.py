"""Answered lines with their requests, failures by kind, and throughput over time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from vbatch.chassis.blobs import BlobMissing
from vbatch.contracts.ids import OwnerId
from vbatch.contracts.read_model import partial_results_path
from vbatch.gateway.core.answer_lines import (
    HEAD_BYTES,
    PREVIEW_BYTES_MAX,
    SHOWN_BYTES_MAX,
    ChunkRecord,
    FaultList,
    LineObject,
    LineRecord,
    LinesParams,
    SeriesObject,
    ShownLine,
    fault_view,
    line_view,
    search_view,
    series_of,
    shown_line,
)
from vbatch.gateway.core.facets import FacetsObject, facets_view
from vbatch.gateway.core.records import BatchRecord
from vbatch.gateway.core.text_search import Found, SearchParams, Side
from vbatch.gateway.flows.batches import find_batch
from vbatch.gateway.ports import Dependencies

CHUNK_TIMES_SECONDS_MAX = 5.0


@dataclass(frozen=True, slots=True)
class LinesFound:
    """A page of lines, whether there are more, and what was searched, if anything was."""

    records: Sequence[LineRecord]
    has_more: bool
    search: Found | None


async def lines_of_batch(dependencies: Dependencies, owner: OwnerId, batch_id: str, params: LinesParams) -> bytes:
    """Return a `LinePage` as JSON. Raises Refusal when the batch is unknown."""
    batch = await find_batch(dependencies, owner, batch_id)
    found = await find_lines(dependencies, owner, batch, params)
    answers = await answers_of(dependencies, batch, found.records, PREVIEW_BYTES_MAX)
    lines = [record.line for record in found.records]
    requests = await requests_of(dependencies, owner, batch, lines, PREVIEW_BYTES_MAX)
    views = [
        line_view(record, requests.get(record.line), answer)
        for record, answer in zip(found.records, answers, strict=True)
    ]
    return page_of_lines(views, has_more=found.has_more, search=found.search)


async def find_lines(dependencies: Dependencies, owner: OwnerId, batch: BatchRecord, params: LinesParams) -> LinesFound:
    """Find the lines, in the requested order."""
    search = await _search(dependencies, owner, batch, params.search) if params.search is not None else None
    records = await dependencies.reads.lines(batch, params, search.hits if search is not None else None)
    return LinesFound(records[: params.limit], len(records) > params.limit, search)


async def facets_of_batch(dependencies: Dependencies, owner: OwnerId, batch_id: str) -> FacetsObject:
    """Raises Refusal when the batch is unknown."""
    return facets_view(await dependencies.reads.facets(await find_batch(dependencies, owner, batch_id)))


async def line_detail(dependencies: Dependencies, owner: OwnerId, batch_id: str, line: int) -> ShownLine:
    """Raises Refusal when the batch is unknown."""
    batch = await find_batch(dependencies, owner, batch_id)
    records = [
        record
        for record in await dependencies.reads.lines(batch, LinesParams(line - 1, limit=1))
        if record.line == line
    ]
    answers = await answers_of(dependencies, batch, records, SHOWN_BYTES_MAX, head_bytes=HEAD_BYTES)
    requests = await requests_of(dependencies, owner, batch, [line], SHOWN_BYTES_MAX + 1)
    return shown_line(line, requests.get(line), answers[0] if answers else None)


async def faults_of_batch(dependencies: Dependencies, owner: OwnerId, batch_id: str) -> FaultList:
    """Return the failures by kind, most frequent first. Raises Refusal when the batch is unknown."""
    batch = await find_batch(dependencies, owner, batch_id)
    faults = await dependencies.reads.faults(batch)
    examples = [await _example(dependencies, batch, fault.first_line) for fault in faults]
    return FaultList(data=[fault_view(fault, example) for fault, example in zip(faults, examples, strict=True)])


async def series_of_batch(dependencies: Dependencies, owner: OwnerId, batch_id: str) -> SeriesObject:
    """Raises Refusal when the batch is unknown."""
    batch = await find_batch(dependencies, owner, batch_id)
    chunks = await dependencies.reads.chunks(batch)
    return series_of(chunks, await _times(dependencies, batch, chunks))


async def _search(dependencies: Dependencies, owner: OwnerId, batch: BatchRecord, params: SearchParams) -> Found:
    """Search the growing answers, or the input file; a deleted file has no hits."""
    if params.side is Side.ANSWERS:
        path = partial_results_path(batch.id, batch.partial_folder)
        return await dependencies.text_search.find(dependencies.partial, path, batch.partial_bytes, params)
    file = await dependencies.reads.file(owner, batch.input_file_id, dependencies.now())
    if file is None:
        return Found((), 0, 0, None)
    return await dependencies.text_search.find(dependencies.blobs, file.blob, file.bytes, params)


async def _times(dependencies: Dependencies, batch: BatchRecord, chunks: Sequence[ChunkRecord]) -> dict[int, datetime]:
    """Return when each chunk was recorded; chunks that could not be read in time are missing."""
    times: dict[int, datetime] = {}
    if not chunks:
        return times
    subject = f"evt.batch.{batch.id}.chunk_completed"
    try:
        async with (
            asyncio.timeout(CHUNK_TIMES_SECONDS_MAX),
            dependencies.log.tail(batch.sequence, [subject], headers_only=True) as tail,
        ):
            async for records in tail:
                times.update((record.sequence, record.recorded_at) for record in records)
                if records[-1].sequence >= chunks[-1].sequence:
                    break
    except TimeoutError:
        return times
    return times


async def _example(dependencies: Dependencies, batch: BatchRecord, line: int) -> bytes | None:
    records = await dependencies.reads.lines(batch, LinesParams(line - 1, limit=1))
    return (await answers_of(dependencies, batch, records[:1], PREVIEW_BYTES_MAX))[0] if records else None


async def answers_of(
    dependencies: Dependencies,
    batch: BatchRecord,
    records: Sequence[LineRecord],
    bytes_max: int,
    *,
    head_bytes: int = 0,
) -> list[bytes | None]:
    """Return the output lines; of a longer line its beginning, marked as incomplete, or None."""
    if not records:
        return []
    lengths = [record.length if record.length <= bytes_max else head_bytes for record in records]
    path = partial_results_path(batch.id, batch.partial_folder)
    ranges = [(record.start, length) for record, length in zip(records, lengths, strict=True) if length]
    texts = iter(await dependencies.partial.read_ranges(path, ranges) if ranges else [])
    return [next(texts) if length else None for length in lengths]


async def requests_of(
    dependencies: Dependencies, owner: OwnerId, batch: BatchRecord, lines: Sequence[int], bytes_max: int
) -> dict[int, bytes]:
    """Return the input lines; none if the file is deleted. A longer line is cut and is then not JSON."""
    file = await dependencies.reads.file(owner, batch.input_file_id, dependencies.now())
    if file is None or not lines:
        return {}
    try:
        return await dependencies.input_lines.read(file.blob, file.bytes, lines, bytes_max)
    except BlobMissing:
        return {}


def page_of_lines(views: Sequence[LineObject], *, has_more: bool, search: Found | None) -> bytes:
    """Return a `LinePage` as JSON."""
    data = [msgspec.Raw(view.model_dump_json().encode()) for view in views]
    last = views[-1].line if views else None
    searched = search_view(search).model_dump() if search is not None else None
    page = {"object": "list", "data": data, "has_more": has_more, "last_line": last, "search": searched}
    return msgspec.json.encode(page)
