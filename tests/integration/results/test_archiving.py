"""On a real log and database: what moved to an archive has left the log, and everything still follows from the two."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from tests.integration.results.stage import Place, Story, eventually, results_running
from tests.integration.results.test_rebuilding import (
    CANCELLED,
    COMPLETED,
    EXPIRED,
    FAILED,
    RUNNING,
    STORIES,
    tell_all,
    verified,
)
from vbatch.contracts.subjects import BATCHES_ARCHIVED, CHUNKS_COMPLETED, chunks_of
from vbatch.journal.archive import HistoricJournal
from vbatch.journal.jetstream.journal import JetStreamJournal
from vbatch.journal.port import Journal
from vbatch.results.flows.archiving import ArchiveMeans, read_until

pytestmark = pytest.mark.integration

ARCHIVED = (COMPLETED, CANCELLED, EXPIRED)


def means(place: Place, journal: Journal) -> ArchiveMeans:
    stream = cast(JetStreamJournal, journal)
    return ArchiveMeans(stream.log, stream.log, place.blobs, every_seconds=0.05, grace_seconds=0.0)


async def archive_all(place: Place, journal: Journal) -> Journal:
    """Let every ended batch move to its archive; return the journal that reads both."""
    historic = HistoricJournal(journal, place.blobs)
    await tell_all(place, journal)
    async with results_running(place, historic, means(place, journal)):
        for story in ARCHIVED:
            await eventually(lambda story=story: _has_left(journal, story))
        await place.has_projected(await journal.log.last_sequence())
    return historic


async def _has_left(journal: Journal, story: Story) -> bool:
    archived = await journal.log.last(f"evt.batch.{story.batch_id}.archived")
    return archived is not None and await journal.log.last(chunks_of(story.batch_id)) is None


async def test_a_rebuild_from_archives_and_log_equals_what_is_served(place: Place, journal: Journal):
    historic = await archive_all(place, journal)
    report = await verified(place, historic)
    assert (report.is_compared, report.differences, report.unverified) == (True, [], [])
    assert report.outcomes == sum(len(story.outcomes()) for story in STORIES if story is not FAILED)


async def test_only_the_chunks_of_ended_batches_leave_the_log(place: Place, journal: Journal):
    await archive_all(place, journal)
    left = [record async for part in read_until(journal.log, (CHUNKS_COMPLETED,), 0) for record in part]
    assert {record.subject for record in left} == {chunks_of(RUNNING.batch_id)}
    told = [record async for part in read_until(journal.log, (BATCHES_ARCHIVED,), 0) for record in part]
    assert len(told) == len(ARCHIVED)


async def test_results_without_its_database_makes_the_same_rows_from_archives_and_log(
    place: Place, journal: Journal, tmp_path: Path
):
    historic = await archive_all(place, journal)
    empty = replace(place, schema="read_model_lost", home=tmp_path / "other")
    (empty.home / "results").mkdir(parents=True)
    (empty.home / "blobs").symlink_to(place.home / "blobs")
    async with results_running(empty, historic):
        await empty.has_projected(await journal.log.last_sequence())
    for table in ("batch", "outcome", "file"):
        assert await empty.rows(table) == await place.rows(table)
    assert empty.partial(COMPLETED) == place.partial(COMPLETED)
