"""Batches over the same inputs, side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

from vbatch.contracts.ids import OwnerId
from vbatch.contracts.previews import request_preview
from vbatch.gateway.core.answer_lines import PREVIEW_BYTES_MAX
from vbatch.gateway.core.comparing import (
    COMPARED_MAX,
    ComparedAnswerObject,
    ComparedLineObject,
    ComparedPage,
    ComparedRecord,
    CompareParams,
    ComparisonObject,
    answer_view,
    check_comparable,
    compared_heading,
    compared_row,
    comparison_view,
)
from vbatch.gateway.core.records import BatchRecord
from vbatch.gateway.flows.answer_lines import answers_of, requests_of
from vbatch.gateway.flows.batches import find_batch
from vbatch.gateway.ports import Dependencies


async def comparison(dependencies: Dependencies, owner: OwnerId, params: CompareParams) -> ComparisonObject:
    """Compare the batches. Raises Refusal for a batch that is unknown, or for more lines than can be compared."""
    batches = await _batches(dependencies, owner, params)
    statistics, agreements = await asyncio.gather(
        dependencies.reads.statistics(batches), dependencies.reads.agreements(batches)
    )
    return comparison_view(batches, statistics, agreements)


async def compared_lines(dependencies: Dependencies, owner: OwnerId, params: CompareParams) -> ComparedPage:
    """Return the shared lines. Raises Refusal for a batch that is unknown, or for more lines than can be compared."""
    return await _page(dependencies, owner, await _batches(dependencies, owner, params), params)


async def compared_table(
    dependencies: Dependencies, owner: OwnerId, params: CompareParams
) -> AsyncGenerator[bytes, None]:
    """Return all shared lines as CSV. Raises Refusal."""
    batches = await _batches(dependencies, owner, params)
    yield compared_heading(batches)
    params = replace(params, after_line=0, limit=COMPARED_MAX)
    while True:
        page = await _page(dependencies, owner, batches, params)
        yield b"".join(compared_row(line) for line in page.data)
        if not page.has_more or page.last_line is None:
            return
        params = replace(params, after_line=page.last_line)


async def _batches(dependencies: Dependencies, owner: OwnerId, params: CompareParams) -> list[BatchRecord]:
    batches = [await find_batch(dependencies, owner, batch_id) for batch_id in params.batch_ids]
    check_comparable(batches)
    return batches


async def _page(
    dependencies: Dependencies, owner: OwnerId, batches: Sequence[BatchRecord], params: CompareParams
) -> ComparedPage:
    found = await dependencies.reads.shared_lines(batches, params)
    lines = found[: params.limit]
    records = await dependencies.reads.compared(batches, lines)
    requests = await requests_of(dependencies, owner, batches[0], lines, PREVIEW_BYTES_MAX)
    columns = [await _column(dependencies, batch, records, batches[0]) for batch in batches]
    names = {each.record.line: each.record.custom_id for each in records if each.sequence == batches[0].sequence}
    data = [
        ComparedLineObject(
            line=line,
            custom_id=names.get(line, ""),
            request=request_preview(requests[line]) if line in requests else None,
            answers=[column.get(line) for column in columns],
        )
        for line in lines
    ]
    return ComparedPage(data=data, has_more=len(found) > params.limit, last_line=lines[-1] if lines else None)


async def _column(
    dependencies: Dependencies, batch: BatchRecord, records: Sequence[ComparedRecord], first: BatchRecord
) -> dict[int, ComparedAnswerObject]:
    """Return the answers of one batch. A line with another `custom_id` there is a different request, and is left
    out."""
    firsts = {each.record.line: each for each in records if each.sequence == first.sequence}
    own = [each for each in records if each.sequence == batch.sequence and _is_shared(each, firsts)]
    answers = await answers_of(dependencies, batch, [each.record for each in own], PREVIEW_BYTES_MAX)
    return {
        each.record.line: answer_view(batch.id, each, firsts[each.record.line].text_hash, answer)
        for each, answer in zip(own, answers, strict=True)
    }


def _is_shared(compared: ComparedRecord, firsts: dict[int, ComparedRecord]) -> bool:
    first = firsts.get(compared.record.line)
    return first is not None and first.record.custom_id == compared.record.custom_id
