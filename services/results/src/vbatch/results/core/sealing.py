"""Which line goes into which sealed file, the names of the files, and the events that announce them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from vbatch.contracts import events as e
from vbatch.contracts.failures import RequestFault
from vbatch.contracts.ids import BatchId, FileId, OutputKind, OwnerId, output_file_id
from vbatch.contracts.lifecycle import NEVER_RAN_FAULT
from vbatch.contracts.lines import RawLine, RequestLines, parse_request_line
from vbatch.contracts.read_model.rows import BatchRow

OUTPUT_EXPIRES_AFTER_SECONDS = 30 * 86_400
"""OpenAI's default lifetime of an output file."""
INPUT_LINE_BYTES_MAX = 64 << 20

SEALED_EVENTS: Mapping[e.Ending, type[e.BatchSealed]] = {
    e.Ending.COMPLETED: e.BatchCompleted,
    e.Ending.CANCELLED: e.BatchCancelled,
    e.Ending.EXPIRED: e.BatchExpired,
}


SET_ASIDE = "The server could not record an answer to this request; its operator finds why among the dead letters."


class SealRefused(Exception):
    """Raised when the counts and the lines do not agree; writing files would hide that. A retry will not help."""


@dataclass(frozen=True)
class SealedFile:
    """A sealed file in the blob store."""

    blob: str
    bytes: int
    sha256: str
    line_count: int


def kind_of(status_code: int | None) -> OutputKind:
    return "output" if e.is_success(status_code) else "error"


def blob_name(batch_id: str, kind: OutputKind) -> str:
    return f"outputs/{batch_id}_{kind}.jsonl"


def never_ran_fault(row: BatchRow) -> RequestFault | None:
    """The error of the lines without an outcome; None when there is none."""
    if row.total == 0 or row.completed + row.failed == row.total:
        return None
    return NEVER_RAN_FAULT.get(_ending(row), RequestFault.UNREADABLE_ANSWER)


def never_ran_message(fault: RequestFault) -> str:
    """The message for a batch that ended because an answer could not be recorded; empty if the code is enough."""
    return SET_ASIDE if fault is RequestFault.UNREADABLE_ANSWER else ""


def must_be_whole(row: BatchRow, files: Mapping[OutputKind, SealedFile]) -> None:
    """Check that every request is in exactly one of the files. Raises SealRefused."""
    written = sum(file.line_count for file in files.values())
    if written != row.total:
        raise SealRefused(f"{row.id}: {written} lines for {row.total} requests")


def file_stored(row: BatchRow, kind: OutputKind, file: SealedFile) -> e.FileStored:
    """The event of a sealed file. Its time is the end of counting, so that sealing again makes the same event."""
    ended_at = _ended_at(row)
    seconds = row.output_expires_after_seconds or OUTPUT_EXPIRES_AFTER_SECONDS
    return e.FileStored(
        file_id=output_file_id(BatchId(row.id), kind),
        owner=OwnerId(row.owner),
        purpose="batch_output",
        filename=f"{row.id}_{kind}.jsonl",
        bytes=file.bytes,
        sha256=file.sha256,
        blob=file.blob,
        expires_at=ended_at + timedelta(seconds=seconds),
        batch_id=BatchId(row.id),
        at=ended_at,
    )


def sealed(row: BatchRow, files: Mapping[OutputKind, SealedFile], now: datetime) -> e.BatchSealed:
    """The terminal event, at `now`: the first one in the log counts."""
    return SEALED_EVENTS[_ending(row)](
        batch_id=BatchId(row.id),
        counts=row.counts,
        usage=row.usage,
        output_file_id=_file_id(row, "output", files),
        error_file_id=_file_id(row, "error", files),
        at=max(now, _ended_at(row)),
    )


def custom_id_of(raw: bytes) -> str:
    """The custom_id of a request line that validation has passed. Raises SealRefused."""
    try:
        return parse_request_line(raw).custom_id
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SealRefused("a line of the input file that was valid no longer is") from error


def request_lines() -> RequestLines:
    """The reader of an input file, block by block."""
    return RequestLines(INPUT_LINE_BYTES_MAX)


def must_be_bounded(requests: Sequence[RawLine]) -> None:
    """Check the requests. Raises SealRefused for a line that validation never accepts."""
    for line, _, raw in requests:
        if len(raw) > INPUT_LINE_BYTES_MAX:
            raise SealRefused(f"line {line} of the input file is too long")


def _file_id(row: BatchRow, kind: OutputKind, files: Mapping[OutputKind, SealedFile]) -> FileId | None:
    return output_file_id(BatchId(row.id), kind) if kind in files else None


def _ending(row: BatchRow) -> e.Ending:
    if row.ending is None:
        raise SealRefused(f"{row.id}: its counting is not over")
    return e.Ending(row.ending)


def _ended_at(row: BatchRow) -> datetime:
    if row.counting_ended_at is None:
        raise SealRefused(f"{row.id}: its counting is not over")
    return row.counting_ended_at
