"""Finds a fan-out, and streams the answers of all its models side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

from vbatch.contracts.ids import FanoutId, OwnerId, is_fanout_id
from vbatch.contracts.subjects import BATCHES_CREATED
from vbatch.gateway.core.batches.fanout import fanout_lines, models_of
from vbatch.gateway.core.merged_answers import Member, MergedPlaces
from vbatch.gateway.core.records import BatchRecord
from vbatch.gateway.core.refusals import no_such_fanout
from vbatch.gateway.flows.merged_results import LINES_READ_AT_ONCE, lines_at, places_of
from vbatch.gateway.flows.results import Results
from vbatch.gateway.flows.writing import is_news
from vbatch.gateway.ports import Dependencies


async def find_fanout(dependencies: Dependencies, owner: OwnerId, fanout_id: str) -> list[BatchRecord]:
    """Return the fan-out's batches, in the order of its models. Raises Refusal if neither the read model nor the log
    knows it."""
    found = await _find(dependencies, owner, FanoutId(fanout_id)) if is_fanout_id(fanout_id) else []
    if not found:
        raise no_such_fanout(fanout_id)
    return found


async def fanout_results(dependencies: Dependencies, owner: OwnerId, fanout_id: str) -> Results:
    """Return one line for each request that has an answer, retries of its batches included. Raises Refusal if the
    fan-out is unknown or a file of its batches is deleted."""
    batches = await find_fanout(dependencies, owner, fanout_id)
    members = [
        Member(batch, group)
        for group, first in enumerate(batches)
        for batch in await dependencies.reads.family(owner, first.id)
    ]
    places = await places_of(dependencies, owner, members)
    is_incomplete = any(not member.batch.is_over for member in members)
    return Results(is_incomplete, 0, _content(dependencies, members, places, models_of(batches)))


async def _find(dependencies: Dependencies, owner: OwnerId, fanout_id: FanoutId) -> list[BatchRecord]:
    found = await dependencies.reads.fanout(owner, fanout_id)
    if not found and await is_news(dependencies, BATCHES_CREATED):
        return await dependencies.reads.fanout(owner, fanout_id)
    return found


async def _content(
    dependencies: Dependencies, members: Sequence[Member], places: MergedPlaces, models: Sequence[str]
) -> AsyncGenerator[bytes, None]:
    for page in places.pages(LINES_READ_AT_ONCE):
        lines = await lines_at(dependencies, members, page)
        groups = [members[place.member].group for place in page]
        yield b"".join(fanout_lines(models, zip(groups, lines, strict=True)))
        await asyncio.sleep(0)
