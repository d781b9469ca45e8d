"""Every test here runs on the in-memory twin and on a real nats-server; those of single writers also behind the network
of the simulation, which loses the first answer of every append."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from tests.simulation.journal import SimulatedJournal
from tests.simulation.loop import Lane
from tests.simulation.weather import Weather
from tests.support.nats import nats_server, small_journal
from vbatch.journal.jetstream import connect
from vbatch.journal.memory import MemoryJournal
from vbatch.journal.port import Journal

LOST_ANSWER = 0.987654
"""A rate that no other fault has."""
OpenJournal = Callable[..., Awaitable[Journal]]


class EveryOtherAnswerIsLost(Weather):
    """Nothing else goes wrong, so each append is sent twice and the answer of its second try arrives."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.lost_answer, self.seconds, self._lost = LOST_ANSWER, 0.0005, False

    def strikes(self, rate: float) -> bool:
        if rate != LOST_ANSWER:
            return False
        self._lost = not self._lost
        return self._lost


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "open_journal" in metafunc.fixturenames:
        is_writer = metafunc.module.__name__.endswith("test_single_writer")
        kinds = ["memory", "jetstream", *(["simulation"] if is_writer else [])]
        metafunc.parametrize("open_journal", kinds, indirect=True)


@pytest.fixture
async def open_journal(request: pytest.FixtureRequest) -> AsyncIterator[OpenJournal]:
    """Each call is another service on the same store; keyword arguments change the settings."""
    async with AsyncExitStack() as stack:
        if request.param != "jetstream":
            opened: list[MemoryJournal] = []

            async def open_memory(**changes: Any) -> Journal:
                if not opened:
                    settings = small_journal("memory", **changes)
                    opened.append(MemoryJournal(settings, lambda: datetime.now(UTC)))
                return _simulated(opened[0]) if request.param == "simulation" else opened[0]

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


def _simulated(store: MemoryJournal) -> Journal:
    return SimulatedJournal(store, Lane("writer"), EveryOtherAnswerIsLost(Random(1)), lambda *_, is_first: None)
