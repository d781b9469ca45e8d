"""One Label Studio for all tests of a run. Its first start takes a minute, so what it makes is kept for later runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.integration.conftest import journal as journal, nats as nats, place as place
from tests.integration.gateway.conftest import stage as stage
from tests.labeling.label_studio import PROGRAM, LabelStudioServer, People, free_port, people_of, provide_data


@pytest.fixture(scope="session")
def label_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelStudioServer]:
    if not PROGRAM.exists():
        pytest.fail("Label Studio is not installed: run `./taskw test:labeling`")
    folder = tmp_path_factory.mktemp("label-studio") / "data"
    provide_data(folder)
    server = LabelStudioServer(folder, free_port())
    server.start()
    try:
        asyncio.run(server.is_ready())
        yield server
    finally:
        server.stop()


@pytest.fixture
async def people(label_studio: LabelStudioServer) -> AsyncIterator[People]:
    async with people_of(label_studio.url) as people:
        yield people
