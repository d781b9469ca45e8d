"""Every test here runs on the in-memory twin and on a real nats-server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.nats import nats_server, small_journal
from vbatch.journal.jetstream import connect
from vbatch.journal.memory import MemoryJournal
from vbatch.journal.port import Journal

OpenJournal = Callable[..., Awaitable[Journal]]


@pytest.fixture(params=["memory", "jetstream"])
async def open_journal(request: pytest.FixtureRequest) -> AsyncIterator[OpenJournal]:
    """Each call is another service on the same store; keyword arguments change the settings."""
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            opened: list[Journal] = []

            async def open_memory(**changes: Any) -> Journal:
                if not opened:
                    settings = small_journal("memory", **changes)
                    opened.append(MemoryJournal(settings, lambda: datetime.now(UTC)))
                return opened[0]

            yield open_memory
            return
        server = await stack.enter_async_context(nats_server())

        async def open_jetstream(**changes: Any) -> Journal:
            journal = await stack.enter_async_context(connect(small_journal(server.url, **changes)))
            await journal.topology()
            return journal

        yield open_jetstream


@pytest.fixture
async def journal(open_journal: OpenJournal) -> Journal:
    return await open_journal()
