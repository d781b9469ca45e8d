from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.notifier.stage import NO_POSTGRES, Scene, scene_set
from tests.integration.results.stage import Place
from tests.support.nats import NatsServer
from vbatch.journal.port import Journal


@pytest.fixture
def place(tmp_path: Path, nats: NatsServer) -> Place:
    return Place(tmp_path / "home", nats.url, NO_POSTGRES)


@pytest.fixture
async def scene(place: Place, journal: Journal, tmp_path: Path) -> AsyncIterator[Scene]:
    """Everything runs."""
    async with scene_set(place, journal, tmp_path) as scene:
        yield scene


@pytest.fixture
async def quiet_scene(place: Place, journal: Journal, tmp_path: Path) -> AsyncIterator[Scene]:
    """The notifier is not started yet."""
    async with scene_set(place, journal, tmp_path, runs=False) as scene:
        yield scene
