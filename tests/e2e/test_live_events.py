"""The event stream of a batch, cut off and taken up again: every event once, in the order of the log."""

from __future__ import annotations

from contextlib import aclosing
from itertools import count

import pytest
from openai import OpenAI

from tests.e2e.asking import chat_line, ended, jsonl, submit
from tests.support.stack import SLOW_CHAT, RunningStack
from vbatch.client import AsyncClient, LiveEvent

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

LAST = ("batch.completed", "batch.cancelled", "batch.expired", "batch.rejected")


async def events_in_pieces(server: AsyncClient, batch_id: str, piece: int) -> list[LiveEvent]:
    """All events, read over connections that are cut after `piece` events each."""
    seen: list[LiveEvent] = []
    while not seen or seen[-1].name not in LAST:
        async with aclosing(server.events(batch_id, after=seen[-1].id if seen else 0)) as events:
            numbers = count(1)
            async for event in events:
                seen.append(event)
                if next(numbers) == piece or event.name in LAST:
                    break
    return seen


async def test_a_stream_that_is_cut_and_resumed_brings_every_event_once(stack: RunningStack, client: OpenAI):
    batch = submit(client, jsonl([chat_line(number, SLOW_CHAT) for number in range(500)]))
    async with AsyncClient(stack.url) as server:
        in_pieces = await events_in_pieces(server, batch.id, piece=3)
        whole = await events_in_pieces(server, batch.id, piece=1_000_000)
    assert [event.id for event in in_pieces] == sorted({event.id for event in in_pieces})
    assert in_pieces == whole


async def test_the_stream_tells_the_story_of_the_batch(stack: RunningStack, client: OpenAI):
    batch = submit(client, jsonl([chat_line(1)]))
    ended(client, batch.id)
    async with AsyncClient(stack.url) as server:
        names = [event.name for event in await events_in_pieces(server, batch.id, piece=1_000_000)]
    assert names == [
        "batch.created",
        "batch.validated",
        "batch.dispatched",
        "batch.chunk_completed",
        "batch.finalizing",
        "batch.completed",
    ]
