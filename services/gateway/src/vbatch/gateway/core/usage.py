"""Usage by day, owner and model: sums over the batches of the read model, whose counts are exact.

A batch counts on the UTC day of its creation. Energy and cost are not reported, because the gateway does not measure
them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from pydantic import BaseModel

from vbatch.gateway.core.line_table import text_cell
from vbatch.gateway.core.refusals import Reason, Refusal

DAYS_DEFAULT = 30
DAYS_MAX = 400
ROWS_MAX = 20_000
COLUMNS = (
    "day",
    "owner",
    "model",
    "batches",
    "requests",
    "succeeded",
    "failed",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "answering_seconds",
)


@dataclass(frozen=True, slots=True)
class UsageParams:
    """Batches created from `first` to `last`, both included."""

    first: date
    last: date
    is_csv: bool = False

    @property
    def begins(self) -> datetime:
        return datetime(self.first.year, self.first.month, self.first.day, tzinfo=UTC)

    @property
    def ends(self) -> datetime:
        return datetime(self.last.year, self.last.month, self.last.day, tzinfo=UTC) + timedelta(days=1)


class UsageRow(BaseModel):
    """`model` is null for batches that name several models, or none yet. `requests` counts the requests of valid files.
    `answering_seconds` is the sum over the batches of the time from the first to the last answer, so simultaneous
    batches count twice."""

    day: date
    owner: str
    model: str | None
    batches: int
    requests: int
    succeeded: int
    failed: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    answering_seconds: float


class UsageTotals(BaseModel):
    batches: int
    requests: int
    succeeded: int
    failed: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    answering_seconds: float


class UsageObject(BaseModel):
    """Newest day first. `has_more`: there are more rows than one answer holds; ask for fewer days."""

    object: str = "usage"
    first_day: date
    last_day: date
    data: list[UsageRow]
    totals: UsageTotals
    has_more: bool


def parse_usage_params(query: Mapping[str, str], today: date) -> UsageParams:
    """Parse the query; the default is the last 30 days. Raises Refusal."""
    last = _day(query, "last_day") or today
    first = _day(query, "first_day") or last - timedelta(days=DAYS_DEFAULT - 1)
    if not 0 <= (last - first).days < DAYS_MAX:
        message = f"'first_day' must be before 'last_day', by fewer than {DAYS_MAX} days."
        raise Refusal(Reason.VALUE_INVALID, message, "first_day")
    return UsageParams(first, last, _is_csv(query))


def usage_view(params: UsageParams, rows: Sequence[UsageRow]) -> UsageObject:
    shown = list(rows[:ROWS_MAX])
    return UsageObject(
        first_day=params.first,
        last_day=params.last,
        data=shown,
        totals=UsageTotals(
            batches=sum(row.batches for row in shown),
            requests=sum(row.requests for row in shown),
            succeeded=sum(row.succeeded for row in shown),
            failed=sum(row.failed for row in shown),
            input_tokens=sum(row.input_tokens for row in shown),
            output_tokens=sum(row.output_tokens for row in shown),
            cached_tokens=sum(row.cached_tokens for row in shown),
            answering_seconds=round(sum(row.answering_seconds for row in shown), 3),
        ),
        has_more=len(rows) > ROWS_MAX,
    )


def usage_table(usage: UsageObject) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in usage.data:
        writer.writerow([text_cell(getattr(row, column)) for column in COLUMNS])
    return text.getvalue().encode(errors="replace")


def _day(query: Mapping[str, str], name: str) -> date | None:
    text = query.get(name)
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError as error:
        raise Refusal(Reason.VALUE_INVALID, f"Invalid value: '{text}'. Expected a day as YYYY-MM-DD.", name) from error


def _is_csv(query: Mapping[str, str]) -> bool:
    wanted = query.get("format", "json")
    if wanted not in ("json", "csv"):
        message = f"Invalid value: '{wanted}'. Supported values are: 'json', and 'csv'."
        raise Refusal(Reason.VALUE_INVALID, message, "format")
    return wanted == "csv"
