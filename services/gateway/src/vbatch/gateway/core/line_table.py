"""A selection of answered lines as a file: the formats, and the rows of a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from enum import StrEnum

import msgspec

from vbatch.contracts.previews import answer_text, request_text
from vbatch.gateway.core.answer_lines import LineRecord
from vbatch.gateway.core.refusals import Reason, Refusal

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet would compute a cell that begins with one of these; a quote before it makes it text (OWASP, CSV
injection)."""
COLUMNS = (
    "line",
    "custom_id",
    "status_code",
    "error_code",
    "model",
    "finish_reason",
    "input_tokens",
    "output_tokens",
    "seconds",
    "request",
    "answer",
)


class ExportFormat(StrEnum):
    JSONL = "jsonl"
    CSV = "csv"


def read_export_format(query: Mapping[str, str]) -> ExportFormat:
    """Parse the query. Raises Refusal."""
    wanted = query.get("format", ExportFormat.JSONL.value)
    if wanted not in tuple(ExportFormat):
        message = f"Invalid value: '{wanted}'. Supported values are: 'jsonl', and 'csv'."
        raise Refusal(Reason.VALUE_INVALID, message, "format")
    return ExportFormat(wanted)


def table_heading() -> bytes:
    return _row(COLUMNS)


def table_row(record: LineRecord, request: bytes | None, answer: bytes | None) -> bytes:
    """Return the row with both whole texts; a cell is empty if its text is missing or is not text."""
    return _row(
        (
            record.line,
            record.custom_id,
            record.status_code,
            record.error_code,
            record.model,
            record.finish_reason,
            record.input_tokens,
            record.output_tokens,
            round(record.seconds, 3),
            _request_text(request),
            _answer_text(answer),
        )
    )


def _row(values: tuple[object, ...]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow([text_cell(value) for value in values])
    return text.getvalue().encode(errors="replace")


def text_cell(value: object) -> object:
    """Return a value that a spreadsheet shows and does not compute."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value


def _request_text(line: bytes | None) -> str | None:
    body = _object(line).get("body")
    return request_text(body) if isinstance(body, dict) else None


def _answer_text(line: bytes | None) -> str | None:
    return answer_text(_object(line))


def _object(line: bytes | None) -> dict[str, object]:
    try:
        decoded = msgspec.json.decode(line or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return decoded if isinstance(decoded, dict) else {}
