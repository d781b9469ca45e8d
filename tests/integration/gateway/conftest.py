from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.gateway.stage import Stage, gateway_running, stage_set
from tests.integration.results.stage import Place
from tests.support.nats import NatsServer, nats_server
from tests.support.postgres import _database_numbers, postgres_server, postgres_url
from vbatch.journal.jetstream import connect
from vbatch.journal.port import Journal
from vbatch.journal.settings import JournalSettings

__all__ = ["_database_numbers", "postgres_server", "postgres_url"]


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


@pytest.fixture
async def stage(place: Place, journal: Journal) -> AsyncIterator[Stage]:
    """The gateway with results beside it; the test plays the scheduler and the runner."""
    async with stage_set(place, journal) as stage:
        yield stage


@pytest.fixture
async def lonely_stage(place: Place, journal: Journal) -> AsyncIterator[Stage]:
    """The gateway alone: nobody projects."""
    async with gateway_running(place, journal, own_write_seconds_max=0.2) as stage:
        yield stage
