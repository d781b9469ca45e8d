"""The lines of a batch's final files, in input order, page by page. They follow from its rows, its growing JSONL and,
if lines never ran, its input file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from vbatch.chassis.blobs import Blobs
from vbatch.contracts.failures import RequestFault
from vbatch.contracts.ids import BatchId, OutputKind
from vbatch.contracts.lines import RawLine, never_ran_line
from vbatch.results.core import sealing as rules
from vbatch.results.core.sealing import SealRefused
from vbatch.results.ports import PartialFiles, Placed, ReadModel, Sealable

PAGE_LINES_MAX = 2048
INPUT_BLOCK_BYTES = 1 << 20
KINDS: tuple[OutputKind, ...] = ("output", "error")


class Page(NamedTuple):
    """Consecutive lines for one of the files."""

    kind: OutputKind
    content: bytes
    line_count: int


class SealedPages:
    def __init__(self, read_model: ReadModel, partials: PartialFiles, blobs: Blobs) -> None:
        self._read_model = read_model
        self._partials = partials
        self._blobs = blobs

    def of(self, sealable: Sealable) -> AsyncIterator[Page]:
        """Every line of both files. Raises SealRefused."""
        fault = rules.never_ran_fault(sealable.row)
        return self._answered(sealable) if fault is None else self._all_requests(sealable, fault)

    async def _answered(self, sealable: Sealable) -> AsyncIterator[Page]:
        """The outcomes alone, in line order: enough when every request has one."""
        line, batch_id = 0, BatchId(sealable.row.id)
        while placed := await self._read_model.outcomes_after(sealable.row.sequence, line, PAGE_LINES_MAX):
            line = placed[-1].line
            for kind in KINDS:
                wanted = [place for place in placed if rules.kind_of(place.status_code) == kind]
                if wanted:
                    lines = await asyncio.to_thread(self._partials.read, batch_id, wanted)
                    yield Page(kind, b"".join(lines), len(lines))

    async def _all_requests(self, sealable: Sealable, fault: RequestFault) -> AsyncIterator[Page]:
        """Every request of the input file, in line order: its outcome, or the error that it never ran."""
        async for requests in self._requests(sealable):
            first, last = requests[0][0], requests[-1][0]
            placed = await self._read_model.outcomes_between(sealable.row.sequence, first, last)
            for page in await asyncio.to_thread(self._merged, BatchId(sealable.row.id), requests, placed, fault):
                yield page

    async def _requests(self, sealable: Sealable) -> AsyncIterator[Sequence[RawLine]]:
        if sealable.input_blob is None:
            raise SealRefused(f"{sealable.row.id}: its input file is not known")
        lines = rules.request_lines()
        async for block in self._blobs.read_stream(sealable.input_blob, chunk_bytes=INPUT_BLOCK_BYTES):
            if requests := lines.feed(block):
                rules.must_be_bounded(requests)
                yield requests
        if requests := lines.end():
            rules.must_be_bounded(requests)
            yield requests

    def _merged(
        self,
        batch_id: BatchId,
        requests: Sequence[RawLine],
        placed: Sequence[Placed],
        fault: RequestFault,
    ) -> list[Page]:
        read = self._partials.read(batch_id, placed) if placed else []
        answered = {place.line: (place.status_code, content) for place, content in zip(placed, read, strict=True)}
        contents: dict[OutputKind, list[bytes]] = {"output": [], "error": []}
        for line, _, raw in requests:
            if line in answered:
                status_code, content = answered[line]
                contents[rules.kind_of(status_code)].append(content)
            else:
                custom_id, message = rules.custom_id_of(raw), rules.never_ran_message(fault)
                contents["error"].append(never_ran_line(batch_id, line, custom_id, fault, message))
        return [Page(kind, b"".join(lines), len(lines)) for kind, lines in contents.items() if lines]
