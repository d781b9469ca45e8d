"""The queries for answered lines: a query has only the conditions that were requested, so that PostgreSQL reads each
row once and no plan has to serve every combination."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import asyncpg

from vbatch.gateway.core.answer_lines import LINES_MAX, LineRecord, LinesParams
from vbatch.gateway.core.line_filters import LineOrder
from vbatch.gateway.core.records import BatchRecord
from vbatch.gateway.core.text_search import Side

SUCCEEDED = "coalesce(status_code BETWEEN 200 AND 299, false)"
VALUES = {
    LineOrder.LINE: "line",
    LineOrder.SECONDS: "seconds",
    LineOrder.OUTPUT_TOKENS: "output_tokens",
    LineOrder.TEXT_CHARS: "coalesce(text_chars, 0)",
}
HIT_COLUMNS = {Side.ANSWERS: "start = ANY(%s::bigint[])", Side.REQUESTS: "line = ANY(%s::integer[])"}
UNFILTERED = ("batch_sequence = %s", "start + length <= %s")
SHOWN = (
    "line",
    "start",
    "length",
    "custom_id",
    "status_code",
    "error_code",
    "input_tokens",
    "output_tokens",
    "seconds",
)
FACETS = """
    SELECT model, finish_reason, is_json, count(*) FROM outcome
    WHERE batch_sequence = $1 AND start + length <= $2 AND status_code BETWEEN 200 AND 299
    GROUP BY model, finish_reason, is_json ORDER BY count(*) DESC LIMIT $3"""


@dataclass(frozen=True)
class LinesQuery:
    """A query that grows condition by condition; every value is an argument, none is part of the text."""

    conditions: list[str] = field(default_factory=list)
    arguments: list[object] = field(default_factory=list)

    def where(self, condition: str, *values: object) -> None:
        """Add `condition`, which has %s for each value; a condition whose value is None is left out."""
        if None not in values:
            self.conditions.append(condition % tuple(self.argument(value) for value in values))

    def argument(self, value: object) -> str:
        self.arguments.append(value)
        return f"${len(self.arguments)}"


def lines_query(batch: BatchRecord, params: LinesParams, hits: Sequence[int] | None) -> tuple[str, list[object]]:
    """Build a query for at most one row more than `params.limit`; `hits` restricts the rows to what a search found."""
    query, filters = LinesQuery(), params.filters
    for condition, value in zip(UNFILTERED, (batch.sequence, batch.partial_bytes), strict=True):
        query.where(condition, value)
    query.where(f"{SUCCEEDED} = %s", params.is_success)
    query.where("custom_id LIKE %s", _holding(params.custom_id))
    query.where("error_code = %s", params.error_code)
    query.where("status_code = %s", params.status_code)
    query.where("model = %s", filters.model)
    query.where("finish_reason = %s", filters.finish_reason)
    query.where("is_json = %s", filters.is_json)
    query.where("text_chars >= %s", filters.chars_min)
    query.where("text_chars <= %s", filters.chars_max)
    if params.search is not None:
        query.where(HIT_COLUMNS[params.search.side], list(hits or ()))
    is_filtered = len(query.conditions) > len(UNFILTERED)
    _behind(query, params)
    where, limit = " AND ".join(query.conditions), query.argument(params.limit + 1)
    return (
        f"SELECT * FROM outcome WHERE {where} ORDER BY {_order(params, is_filtered=is_filtered)} LIMIT {limit}",
        query.arguments,
    )


def line_record(row: asyncpg.Record) -> LineRecord:
    """Build the record; the facets are missing in older versions of the read model, which are served until `vbatch
    rebuild --switch`."""
    measured = LineRecord(*(row[name] for name in SHOWN))
    return replace(
        measured,
        model=row.get("model"),
        finish_reason=row.get("finish_reason"),
        text_chars=row.get("text_chars"),
        is_json=row.get("is_json"),
    )


def _behind(query: LinesQuery, params: LinesParams) -> None:
    """Keep only what follows the line `after_line` in the requested order."""
    value, filters = VALUES[params.filters.order], params.filters
    if filters.order is LineOrder.LINE:
        if params.after_line:
            query.where("line < %s" if filters.is_descending else "line > %s", params.after_line)
    elif params.after_line:
        sign = "<" if filters.is_descending else ">"
        place = f"(SELECT {value}, line FROM outcome WHERE batch_sequence = $1 AND line = %s)"
        query.where(f"({value}, line) {sign} {place}", params.after_line)


def _order(params: LinesParams, *, is_filtered: bool) -> str:
    """Return the ORDER BY clause. Rows are stored in the order in which they were answered. Fetching a million of them
    one by one in input order takes seconds, and PostgreSQL does that if it wrongly expects a page to be full soon. A
    filtered page is therefore sorted (`line + 0` is not an indexed column); an export reads every row anyway."""
    direction = " DESC" if params.filters.is_descending else ""
    if params.filters.order is LineOrder.LINE:
        return f"line + 0{direction}" if is_filtered and params.limit <= LINES_MAX else f"line{direction}"
    return f"{VALUES[params.filters.order]}{direction}, line{direction}"


def _holding(text: str | None) -> str | None:
    """Return a pattern that matches whatever contains the text; PostgreSQL estimates how rare a match is better for a
    pattern than for `strpos`."""
    if text is None:
        return None
    for special in ("\\", "%", "_"):
        text = text.replace(special, f"\\{special}")
    return f"%{text}%"
