"""A real NATS server with its journal, and a place for one read model; suites with other needs make their own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.results.stage import Place
from tests.support.nats import NatsServer, nats_server
from vbatch.journal.jetstream import connect
from vbatch.journal.port import Journal
from vbatch.journal.settings import JournalSettings


@pytest.fixture
async def nats() -> AsyncIterator[NatsServer]:
    async with nats_server(file_store_max="16GB") as server:
        yield server


@pytest.fixture
async def journal(nats: NatsServer) -> AsyncIterator[Journal]:
    async with connect(JournalSettings(url=nats.url, name="test")) as journal:
        await journal.topology()
        yield journal


@pytest.fixture
def place(tmp_path: Path, nats: NatsServer, postgres_url: str) -> Place:
    return Place(tmp_path / "home", nats.url, postgres_url)
