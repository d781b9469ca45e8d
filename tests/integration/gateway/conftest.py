from collections.abc import AsyncIterator

import pytest

from tests.integration.gateway.stage import Stage, gateway_running, stage_set
from tests.integration.results.stage import Place
from vbatch.journal.port import Journal


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
