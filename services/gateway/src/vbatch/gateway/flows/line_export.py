"""A selection of answered lines as a file, a few lines at a time, so memory does not grow with the batch."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import replace

from vbatch.contracts.ids import OwnerId
from vbatch.gateway.core.answer_lines import SHOWN_BYTES_MAX, LineRecord, LinesParams
from vbatch.gateway.core.line_filters import LineOrder
from vbatch.gateway.core.line_table import ExportFormat, table_heading, table_row
from vbatch.gateway.core.records import BatchRecord
from vbatch.gateway.flows.answer_lines import answers_of, find_lines, requests_of
from vbatch.gateway.ports import Dependencies

LINES_SELECTED_AT_ONCE = 2_000
LINES_READ_AT_ONCE = 32
ANSWER_BYTES_MAX = 2**31 - 1
"""An answer is exported whole; the events bound its length."""


async def exported_lines(
    dependencies: Dependencies, owner: OwnerId, batch: BatchRecord, params: LinesParams, kind: ExportFormat
) -> AsyncGenerator[bytes, None]:
    """Yield the lines in input order; with a search, in input order within each part that is searched at once."""
    if kind is ExportFormat.CSV:
        yield table_heading()
    async for records in _selected(dependencies, owner, batch, params):
        for first in range(0, len(records), LINES_READ_AT_ONCE):
            part = records[first : first + LINES_READ_AT_ONCE]
            answers = await answers_of(dependencies, batch, part, ANSWER_BYTES_MAX)
            if kind is ExportFormat.JSONL:
                yield b"".join(answer for answer in answers if answer is not None)
                continue
            lines = [record.line for record in part]
            requests = await requests_of(dependencies, owner, batch, lines, SHOWN_BYTES_MAX)
            yield b"".join(
                table_row(record, requests.get(record.line), answer)
                for record, answer in zip(part, answers, strict=True)
            )


async def _selected(
    dependencies: Dependencies, owner: OwnerId, batch: BatchRecord, params: LinesParams
) -> AsyncIterator[Sequence[LineRecord]]:
    filters = replace(params.filters, order=LineOrder.LINE, is_descending=False)
    ask = replace(params, filters=filters, after_line=0, limit=LINES_SELECTED_AT_ONCE)
    while True:
        found = await find_lines(dependencies, owner, batch, ask)
        if found.records:
            yield found.records
        if found.has_more:
            ask = replace(ask, after_line=found.records[-1].line)
        elif found.search is not None and found.search.next is not None and ask.search is not None:
            ask = replace(ask, after_line=0, search=replace(ask.search, place=found.search.next))
        else:
            return
