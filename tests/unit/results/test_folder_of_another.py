"""A process that waits for the folder looks whether it is still the one that should have it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest

from tests.simulation.loop import Lane
from tests.simulation.stores import SimulatedBlobs, Tables, TwinPartials, TwinReadModel
from tests.simulation.weather import Weather
from tests.support.events import NOON
from vbatch.chassis.files import hold_lock
from vbatch.journal.memory import MemoryJournal
from vbatch.journal.port import Fenced
from vbatch.journal.settings import JournalSettings
from vbatch.journal.single_writer import SingleWriter
from vbatch.results.flows.serving import LOCK_NAME, LOCK_POLL_SECONDS, Dependencies, Progress, lease, serve
from vbatch.results.flows.sweeping import SweepTimes

SECONDS_MAX = 5.0
CALM = Weather(Random(0), is_calm=True)


def world(folder: Path, journal: MemoryJournal) -> Dependencies:
    lane = Lane("results")
    return Dependencies(
        journal=journal,
        read_model=TwinReadModel(Tables(), lane, CALM, lambda tables, changes: None),
        partials=TwinPartials({}, CALM),
        blobs=SimulatedBlobs({}, lane, CALM),
        folder=folder,
        pid=1,
        now=lambda: NOON,
        on_committed=lambda committed: None,
        on_sealed=lambda event, size: None,
        on_dead_letters=lambda count: None,
        sweep_times=SweepTimes(every_seconds=3600.0, grace_seconds=3600.0),
    )


async def test_who_waits_for_the_folder_of_a_newer_process_ends_at_once(tmp_path: Path):
    journal = MemoryJournal(JournalSettings("nats://none", "test"), lambda: NOON)
    with hold_lock(tmp_path / LOCK_NAME):
        older = asyncio.ensure_future(serve(world(tmp_path, journal), Progress()))
        await asyncio.sleep(2 * LOCK_POLL_SECONDS)
        assert not older.done()
        await SingleWriter(journal, "results").take_lease(lease(2, NOON))
        with pytest.raises(ExceptionGroup) as caught:
            await asyncio.wait_for(older, SECONDS_MAX)
    assert caught.value.subgroup(Fenced)


async def test_who_has_the_newest_lease_waits_until_the_folder_is_free(tmp_path: Path):
    progress = Progress()
    with hold_lock(tmp_path / LOCK_NAME):
        newest = asyncio.ensure_future(
            serve(world(tmp_path, MemoryJournal(JournalSettings("nats://none", "test"), lambda: NOON)), progress)
        )
        await asyncio.sleep(2 * LOCK_POLL_SECONDS)
        assert not newest.done() and progress.projector is None
    await asyncio.wait_for(_has_begun(progress), SECONDS_MAX)
    newest.cancel()
    await asyncio.wait([newest])


async def _has_begun(progress: Progress) -> None:
    while True:
        if progress.projector is not None:
            return
        await asyncio.sleep(LOCK_POLL_SECONDS)
