"""The loop that tries deliveries, on a clock that moves on between two looks at it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import chain, repeat

from tests.support.events import NOON, SAMPLES, WEBHOOK_CREATED
from vbatch.contracts import events as e
from vbatch.journal.memory import MemoryJournal
from vbatch.journal.settings import JournalSettings
from vbatch.journal.single_writer import SingleWriter
from vbatch.notifier.core.schedule import Answer
from vbatch.notifier.core.state import State, evolve
from vbatch.notifier.flows.delivering import Delivering
from vbatch.notifier.ports import Dependencies

QUEUED = next(event for event in SAMPLES if isinstance(event, e.WebhookQueued))
RIPE_AT = NOON  # a test is ripe when it is queued
TRIED_SECONDS_MAX = 5.0


class Posts:
    def __init__(self) -> None:
        self.came = asyncio.Event()

    async def post(self, _url: str, _headers: Mapping[str, str], _body: bytes) -> Answer:
        self.came.set()
        return Answer(1, status_code=200)


class NoSecrets:
    def read(self, reference: str) -> bytes:
        return reference.encode()


async def test_a_delivery_that_ripens_between_two_looks_at_the_clock_is_not_overlooked():
    just_before, after = RIPE_AT - timedelta(milliseconds=1), RIPE_AT + timedelta(seconds=1)
    moments = chain([just_before], repeat(after))

    def now() -> datetime:
        return next(moments)

    state, posts = State(), Posts()
    for sequence, event in enumerate((WEBHOOK_CREATED, QUEUED), start=1):
        evolve(state, event, sequence)
    journal = MemoryJournal(JournalSettings("nats://memory", "test"), lambda: NOON)
    world = Dependencies(
        journal, posts, NoSecrets(), pid=1, now=now, on_tried=lambda ended: None, on_exhausted=lambda: None
    )
    writer = SingleWriter(journal, "notifier")
    writer.position.advance(await writer.take_lease(e.NotifierLeased(notifier_id="main", pid=1, at=NOON)))
    running = asyncio.create_task(Delivering(world, state, writer).run())
    try:
        async with asyncio.timeout(TRIED_SECONDS_MAX):
            await posts.came.wait()
    finally:
        running.cancel()
