"""What the pages about the past show, fetched from the API."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from vbatch.console.core import api_objects as api, reading_objects as reading
from vbatch.console.core.comparing import CHOICES, Row, row_of
from vbatch.console.core.timeline_view import Lanes, StateRow, Steps, lanes_of, state_rows, steps_of
from vbatch.console.core.usage_view import DayBar, Sums, bars_of, range_asked, sums_by
from vbatch.console.core.voting import Interval
from vbatch.console.flows.pages import PageParams
from vbatch.console.flows.voting import PairTally, rates_of, tallies
from vbatch.console.ports import Api

DIGITS_MAX = 18
ADMIN = "admin"
BATCHES_MIN = 2
CHOICES_SHOWN = 50


@dataclass(frozen=True, slots=True)
class TimelineView:
    """`is_past`: the address asks for the state that is shown."""

    batch: api.Batch
    timeline: reading.Timeline
    lanes: Lanes
    steps: Steps
    state: list[StateRow]
    is_past: bool
    as_of: int


async def timeline(source: Api, params: PageParams, now: int) -> TimelineView:
    at = params.query.get("at", "")
    query = {"at": at} if at.isascii() and at.isdigit() and 0 < len(at) <= DIGITS_MAX and int(at) else {}
    batch, told = await asyncio.gather(source.batch(params.batch_id), source.timeline(params.batch_id, query))
    return TimelineView(batch, told, lanes_of(told), steps_of(told), state_rows(told.state), bool(query), now)


@dataclass(frozen=True, slots=True)
class UsageView:
    """`is_of_all`: the usage of all owners, which only an admin may see."""

    usage: reading.Usage
    bars: list[DayBar]
    by_model: list[Sums]
    by_owner: list[Sums]
    days: int
    is_of_all: bool
    is_admin: bool
    as_of: int


async def usage(source: Api, params: PageParams, now: int) -> UsageView:
    is_of_all, days = bool(params.query.get("all")), range_asked(params.query)
    query = usage_query(days, now)
    told, scopes = await asyncio.gather(source.usage(query, is_of_all=is_of_all), source.scopes())
    return UsageView(
        usage=told,
        bars=bars_of(told),
        by_model=sums_by(told, lambda row: row.model or "several models"),
        by_owner=sums_by(told, lambda row: row.owner) if is_of_all else [],
        days=days,
        is_of_all=is_of_all,
        is_admin=ADMIN in scopes.scopes,
        as_of=now,
    )


def usage_query(days: int, now: int) -> dict[str, str]:
    """Return the query for the UTC days up to today."""
    today = datetime.fromtimestamp(now, UTC).date()
    return {"first_day": str(today - timedelta(days=days - 1)), "last_day": str(today)}


@dataclass(frozen=True, slots=True)
class CompareView:
    """`comparison` is None until two batches are chosen; then `choices` are the batches to choose from."""

    ids: list[str]
    names: dict[str, str]
    choices: tuple[api.Batch, ...]
    comparison: reading.Comparison | None
    rows: list[Row]
    page: reading.ComparedPage | None
    only: str
    query: dict[str, str]
    as_of: int
    votes: list[PairTally] = field(default_factory=list)
    rates: dict[str, Interval] = field(default_factory=dict)
    """The win rate of each batch; empty if the votes do not determine it."""


async def compare(source: Api, ids: list[str], query: dict[str, str], now: int) -> CompareView:
    """`query` has `only` and `after_line`."""
    only = query.get("only", "")
    only = only if only in CHOICES else CHOICES[0]
    if len(ids) < BATCHES_MIN:
        recent = await source.batches({"limit": str(CHOICES_SHOWN)})
        names = {batch.id: batch.name for batch in recent.data}
        return CompareView(ids, names, recent.data, None, [], None, only, {}, now)
    place = {"after_line": query["after_line"]} if query.get("after_line", "").isdigit() else {}
    asked = {"batches": ",".join(ids)}
    (comparison, page), batches, votes = await asyncio.gather(
        asyncio.gather(source.comparison(asked), source.compared(asked | {"only": only} | place)),
        asyncio.gather(*(source.batch(batch_id) for batch_id in ids)),
        tallies(source, ids),
    )
    names = {batch.id: batch.name for batch in batches}
    rows = [row_of(line) for line in page.data]
    query = asked | {"only": only} | place
    return CompareView(ids, names, (), comparison, rows, page, only, query, now, votes, rates_of(ids, votes))
