"""Requests with their answers, page by page: from the input file of a batch and its growing JSONL."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from vbatch.chassis.blobs import BlobMissing
from vbatch.contracts.ids import OwnerId
from vbatch.contracts.read_model import partial_results_path
from vbatch.gateway.core.curation.examples import Answered
from vbatch.gateway.core.curation.judgements import AnswerKey
from vbatch.gateway.core.records import BatchRecord
from vbatch.gateway.core.refusals import no_such_file
from vbatch.gateway.flows.files import find_file
from vbatch.gateway.ports import CurationReads, Dependencies

LINES_AT_ONCE = 500
LINE_BYTES_MAX = 4 << 20
"""A longer request is cut and cannot be parsed: it is left out and counted."""


async def answered_lines(
    dependencies: Dependencies, reads: CurationReads, owner: OwnerId, batch: BatchRecord, lines: Sequence[int]
) -> AsyncGenerator[list[Answered], None]:
    """Yield the lines that have an answer. Raises Refusal when the input or the answers are deleted."""
    if not lines:
        return
    file = await find_file(dependencies, owner, batch.input_file_id)
    path = partial_results_path(batch.id, batch.partial_folder)
    for first in range(0, len(lines), LINES_AT_ONCE):
        places = await reads.answered(batch, lines[first : first + LINES_AT_ONCE])
        numbers = [place.line for place in places]
        try:
            requests = await dependencies.input_lines.read(file.blob, file.bytes, numbers, LINE_BYTES_MAX)
        except BlobMissing as error:
            raise no_such_file(file.id) from error
        try:
            answers = await dependencies.partial.read_ranges(path, [(place.start, place.length) for place in places])
        except BlobMissing as error:
            raise no_such_file(batch.output_file_id or batch.id) from error
        yield [
            Answered(AnswerKey(batch.id, line), requests[line], bytes(answer))
            for line, answer in zip(numbers, answers, strict=True)
            if line in requests
        ]
