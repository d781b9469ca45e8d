"""What the pages about the past show, fetched from the API."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from vbatch.console.core import api_objects as api, reading_objects as reading
from vbatch.console.core.timeline_view import Lanes, StateRow, Steps, lanes_of, state_rows, steps_of
from vbatch.console.flows.pages import PageAsk
from vbatch.console.ports import Api

DIGITS_MAX = 18


@dataclass(frozen=True, slots=True)
class TimelineView:
    """`is_past`: the state shown is one that the address asks for."""

    batch: api.Batch
    timeline: reading.Timeline
    lanes: Lanes
    steps: Steps
    state: list[StateRow]
    is_past: bool
    as_of: int


async def timeline(source: Api, ask: PageAsk, now: int) -> TimelineView:
    at = ask.query.get("at", "")
    query = {"at": at} if at.isascii() and at.isdigit() and 0 < len(at) <= DIGITS_MAX and int(at) else {}
    batch, told = await asyncio.gather(source.batch(ask.batch_id), source.timeline(ask.batch_id, query))
    return TimelineView(batch, told, lanes_of(told), steps_of(told), state_rows(told.state), bool(query), now)
