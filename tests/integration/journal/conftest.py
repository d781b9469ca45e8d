"""A server of its own for every test, and a journal on it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.nats import NatsServer, nats_server, small_journal
from vbatch.journal.jetstream import JetStreamJournal, connect


@pytest.fixture
async def server() -> AsyncIterator[NatsServer]:
    async with nats_server() as server:
        yield server


@pytest.fixture
async def journal(server: NatsServer) -> AsyncIterator[JetStreamJournal]:
    async with connect(small_journal(server.url)) as journal:
        await journal.topology()
        yield journal
