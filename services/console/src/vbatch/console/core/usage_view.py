"""Usage as bars by day and as sums by model and by owner."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from vbatch.console.core.reading_objects import Usage, UsageRow

RANGES = ((7, "7 days"), (30, "30 days"), (90, "90 days"), (365, "a year"))
DAYS_DEFAULT = 30
GAP = 0.2
"""The share of a day's width that is left empty beside its bar."""


@dataclass(frozen=True, slots=True)
class DayBar:
    """Heights in percent of the busiest day."""

    day: str
    x: float
    width: float
    succeeded: float
    failed: float
    requests: int
    failed_count: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Sums:
    """The rows that have one name in common."""

    name: str
    batches: int
    requests: int
    failed: int
    input_tokens: int
    output_tokens: int
    answering_seconds: float


def range_asked(query: Mapping[str, str]) -> int:
    """Return how many days a page covers."""
    asked = query.get("days", "")
    return next((days for days, _ in RANGES if str(days) == asked), DAYS_DEFAULT)


def bars_of(usage: Usage) -> list[DayBar]:
    """Return a bar for every day from the first to the last, including days without usage."""
    first, last = date.fromisoformat(usage.first_day), date.fromisoformat(usage.last_day)
    days = [str(first + timedelta(days=index)) for index in range((last - first).days + 1)]
    by_day: dict[str, list[UsageRow]] = defaultdict(list)
    for row in usage.data:
        by_day[row.day].append(row)
    busiest = max((sum(row.succeeded + row.failed for row in rows) for rows in by_day.values()), default=0) or 1
    place = 100 / len(days)
    return [_bar(day, by_day[day], index * place, place * (1 - GAP), busiest) for index, day in enumerate(days)]


def sums_by(usage: Usage, name: Callable[[UsageRow], str]) -> list[Sums]:
    """Return the sums, most requests first."""
    groups: dict[str, list[UsageRow]] = defaultdict(list)
    for row in usage.data:
        groups[name(row)].append(row)
    return sorted((_sums(each, rows) for each, rows in groups.items()), key=lambda sums: (-sums.requests, sums.name))


def _bar(day: str, rows: Sequence[UsageRow], x: float, width: float, busiest: int) -> DayBar:
    succeeded, failed = sum(row.succeeded for row in rows), sum(row.failed for row in rows)
    return DayBar(
        day=day,
        x=round(x, 3),
        width=round(width, 3),
        succeeded=round(100 * succeeded / busiest, 2),
        failed=round(100 * failed / busiest, 2),
        requests=succeeded + failed,
        failed_count=failed,
        output_tokens=sum(row.output_tokens for row in rows),
    )


def _sums(name: str, rows: Sequence[UsageRow]) -> Sums:
    return Sums(
        name=name,
        batches=sum(row.batches for row in rows),
        requests=sum(row.requests for row in rows),
        failed=sum(row.failed for row in rows),
        input_tokens=sum(row.input_tokens for row in rows),
        output_tokens=sum(row.output_tokens for row in rows),
        answering_seconds=sum(row.answering_seconds for row in rows),
    )
