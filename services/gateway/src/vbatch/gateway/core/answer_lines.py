"""The lines of a batch, each with its request and its outcome: params, previews, and the objects that show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from pydantic import BaseModel, JsonValue

from vbatch.contracts.previews import answer_preview, request_preview
from vbatch.gateway.core.line_filters import NO_FILTERS, LineFilters, read_line_filters
from vbatch.gateway.core.refusals import Reason, Refusal
from vbatch.gateway.core.shapes import integer_between, integer_of_text, looked_for
from vbatch.gateway.core.text_search import Found, SearchParams, parse_search_params, place_text

LINES_DEFAULT, LINES_MAX = 50, 200
LINE_MAX = 2**31 - 1
PREVIEW_BYTES_MAX = 256 << 10
"""A line longer than this gets no preview."""
SHOWN_BYTES_MAX = 1 << 20
"""Of a request or an answer longer than this, only the beginning of its text is shown."""
HEAD_BYTES = 64 << 10
SERIES_POINTS_MAX = 120
STEPS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600)
"""The numbers of seconds that one point of a series may cover."""
FAULT_KINDS_MAX = 50


@dataclass(frozen=True, slots=True)
class LinesParams:
    """At most `limit` answered lines after `after_line`; a field that is None filters nothing."""

    after_line: int = 0
    limit: int = LINES_DEFAULT
    is_success: bool | None = None
    custom_id: str | None = None
    error_code: str | None = None
    status_code: int | None = None
    filters: LineFilters = NO_FILTERS
    search: SearchParams | None = None


@dataclass(frozen=True, slots=True)
class LineRecord:
    """One answered line: where its output line is in the growing JSONL, and what was measured."""

    line: int
    start: int
    length: int
    custom_id: str
    status_code: int | None
    error_code: str | None
    input_tokens: int
    output_tokens: int
    seconds: float
    model: str | None = None
    finish_reason: str | None = None
    text_chars: int | None = None
    is_json: bool | None = None

    @property
    def is_success(self) -> bool:
        return self.status_code is not None and 200 <= self.status_code < 300


@dataclass(frozen=True, slots=True)
class FaultRecord:
    """Failed answers of one kind."""

    error_code: str | None
    status_code: int | None
    count: int
    first_line: int


@dataclass(frozen=True, slots=True)
class ChunkRecord:
    """What one chunk counted."""

    sequence: int
    completed: int
    failed: int
    output_tokens: int


class LineObject(BaseModel):
    """`request` and `answer` are the beginnings of both texts; null if the input file is deleted or a line is too
    long."""

    object: str = "batch.line"
    line: int
    custom_id: str
    succeeded: bool
    status_code: int | None
    error_code: str | None
    input_tokens: int
    output_tokens: int
    seconds: float
    model: str | None = None
    finish_reason: str | None = None
    text_chars: int | None = None
    is_json: bool | None = None
    request: str | None
    answer: str | None


class SearchObject(BaseModel):
    """The progress of a search for `contains`: `hits` lines contain the words in the part that was searched. To
    continue, pass `next` as `search_after`; it is null when everything was searched."""

    hits: int
    searched_bytes: int
    total_bytes: int
    next: str | None


class LinePage(BaseModel):
    """In input order, or as `order` says. To get the next page, pass `last_line` as `after_line`. `search` is null if
    there was no search."""

    object: str = "list"
    data: list[LineObject]
    has_more: bool
    last_line: int | None
    search: SearchObject | None = None


class LineDetailObject(BaseModel):
    """One whole line: `request` as the client wrote it and `answer` as the output file will contain it; null if there
    is none. For a text that is longer than a mebibyte or is not JSON, `request_head` and `answer_head` hold the
    beginning."""

    object: str = "batch.line.detail"
    line: int
    request: dict[str, JsonValue] | None
    request_head: str | None
    answer: dict[str, JsonValue] | None
    answer_head: str | None


class FaultObject(BaseModel):
    """Failed answers of one kind, with the first of them as an example."""

    object: str = "batch.fault"
    error_code: str | None
    status_code: int | None
    count: int
    first_line: int
    example: str | None


class FaultList(BaseModel):
    object: str = "list"
    data: list[FaultObject]


class SeriesObject(BaseModel):
    """How many answers came in each step: `completed[i]` between `starts_at + i * step_seconds` and the next step."""

    object: str = "batch.series"
    starts_at: int | None
    step_seconds: int
    completed: list[int]
    failed: list[int]
    output_tokens: list[int]


class ShownLine(msgspec.Struct, frozen=True, kw_only=True):
    """`LineDetailObject` as it is sent: the bytes of its JSON values stay unchanged."""

    object: str = "batch.line.detail"
    line: int
    request: msgspec.Raw | None = None
    request_head: str | None = None
    answer: msgspec.Raw | None = None
    answer_head: str | None = None


def parse_lines_params(query: Mapping[str, str]) -> LinesParams:
    """Parse the query. Raises Refusal."""
    return LinesParams(
        after_line=_number(query, "after_line", 0, LINE_MAX) or 0,
        limit=_number(query, "limit", 1, LINES_MAX) or LINES_DEFAULT,
        is_success=_is_success(query),
        custom_id=looked_for(query, "custom_id"),
        error_code=looked_for(query, "error_code"),
        status_code=_number(query, "status_code", 0, 999),
        filters=read_line_filters(query),
        search=parse_search_params(query),
    )


def line_of_path(text: str) -> int:
    """Parse the line number of a path. Raises Refusal."""
    return integer_between(integer_of_text(text, "line"), "line", 1, LINE_MAX)


def line_view(record: LineRecord, request: bytes | None, answer: bytes | None) -> LineObject:
    return LineObject(
        line=record.line,
        custom_id=record.custom_id,
        succeeded=record.is_success,
        status_code=record.status_code,
        error_code=record.error_code,
        input_tokens=record.input_tokens,
        output_tokens=record.output_tokens,
        seconds=round(record.seconds, 3),
        model=record.model,
        finish_reason=record.finish_reason,
        text_chars=record.text_chars,
        is_json=record.is_json,
        request=request_preview(request) if request is not None else None,
        answer=answer_preview(answer) if answer is not None else None,
    )


def search_view(found: Found) -> SearchObject:
    return SearchObject(
        hits=len(found.hits),
        searched_bytes=found.searched_to,
        total_bytes=found.total_bytes,
        next=place_text(found.next),
    )


def fault_view(record: FaultRecord, answer: bytes | None) -> FaultObject:
    return FaultObject(
        error_code=record.error_code,
        status_code=record.status_code,
        count=record.count,
        first_line=record.first_line,
        example=answer_preview(answer) if answer is not None else None,
    )


def shown_line(line: int, request: bytes | None, answer: bytes | None) -> ShownLine:
    """Return the line; each text is null, JSON, or the beginning of a text that is too long or is not JSON."""
    request_raw, request_head = _raw_or_head(request)
    answer_raw, answer_head = _raw_or_head(answer)
    return ShownLine(
        line=line, request=request_raw, request_head=request_head, answer=answer_raw, answer_head=answer_head
    )


def series_of(chunks: Sequence[ChunkRecord], times: Mapping[int, datetime]) -> SeriesObject:
    """Build the series. A chunk whose time is not known yet is left out; the next call includes it."""
    timed = [(int(times[chunk.sequence].timestamp()), chunk) for chunk in chunks if chunk.sequence in times]
    if not timed:
        return SeriesObject(starts_at=None, step_seconds=1, completed=[], failed=[], output_tokens=[])
    first, last = min(at for at, _ in timed), max(at for at, _ in timed)
    step = next((step for step in STEPS if (last - first) / step < SERIES_POINTS_MAX), STEPS[-1])
    length = (last - first) // step + 1
    series = SeriesObject(
        starts_at=first, step_seconds=step, completed=[0] * length, failed=[0] * length, output_tokens=[0] * length
    )
    for at, chunk in timed:
        _count(series, (at - first) // step, chunk)
    return series


def _count(series: SeriesObject, place: int, chunk: ChunkRecord) -> None:
    series.completed[place] += chunk.completed
    series.failed[place] += chunk.failed
    series.output_tokens[place] += chunk.output_tokens


def _raw_or_head(text: bytes | None) -> tuple[msgspec.Raw | None, str | None]:
    if text is None:
        return None, None
    if len(text) > SHOWN_BYTES_MAX:
        return None, text[:HEAD_BYTES].decode(errors="replace")
    try:
        msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        text.decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None, text[:HEAD_BYTES].decode(errors="replace")
    return msgspec.Raw(text.strip()), None


def _number(query: Mapping[str, str], name: str, least: int, most: int) -> int | None:
    return integer_between(integer_of_text(query[name], name), name, least, most) if name in query else None


def _is_success(query: Mapping[str, str]) -> bool | None:
    match query.get("outcome"):
        case None:
            return None
        case "succeeded":
            return True
        case "failed":
            return False
        case other:
            message = f"Invalid value: '{other}'. Supported values are: 'succeeded', and 'failed'."
            raise Refusal(Reason.VALUE_INVALID, message, "outcome")
