"""On a real log and database: what moved to an archive has left the log, and everything still follows from the two."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from tests.integration.results.stage import Place, Story, eventually, results_running, tell
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
from tests.support.events import OWNER
from vbatch.contracts import codec, events as e
from vbatch.contracts.ids import output_file_id
from vbatch.contracts.read_model import partial_results_path
from vbatch.contracts.subjects import BATCHES_ARCHIVED, CHUNKS_COMPLETED, chunks_of
from vbatch.journal.archive import HistoricJournal, HistoricLog
from vbatch.journal.jetstream.journal import JetStreamJournal
from vbatch.journal.port import Journal
from vbatch.local.needle import Found, in_files, in_log
from vbatch.results.adapters.partials import FolderOfPartials
from vbatch.results.flows.archiving import ArchiveMeans, read_until

pytestmark = pytest.mark.integration

ARCHIVED = (COMPLETED, CANCELLED, EXPIRED)


def means(place: Place, journal: Journal) -> ArchiveMeans:
    stream = cast(JetStreamJournal, journal)
    history = HistoricLog(stream.log, place.blobs)
    return ArchiveMeans(stream.log, history, stream.log, stream.dead, place.blobs, 0.05, 0.0)


async def archive_all(place: Place, journal: Journal) -> Journal:
    """Let every ended batch move to its archive; return the journal that reads both."""
    historic = HistoricJournal(journal, place.blobs)
    await tell_all(place, journal)
    async with results_running(place, historic, means(place, journal)):
        for story in ARCHIVED:
            await eventually(partial(_has_left, journal, story))
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


SECRET = "x" * 40
"""The end of every answer of these stories, which nothing else contains."""
WORDY = Story(6, total=40, padding=len(SECRET))


async def erased(place: Place, journal: Journal) -> list[Found]:
    """Delete both files of an ended batch, and wait until its answers are erased; then look for them everywhere."""
    await place.put_input(WORDY)
    historic = HistoricJournal(journal, place.blobs)
    await tell(journal, [*WORDY.opening(), *WORDY.chunks(), WORDY.finalizing()])
    quick = replace(place, sweep_seconds=0.05, grace_seconds=0.0)
    async with results_running(quick, historic, means(place, journal)):
        await eventually(lambda: _has_left(journal, WORDY))
        assert [found.place for found in in_files(place.home, SECRET.encode())] != []
        for kind in ("output", "error"):
            file_id = output_file_id(WORDY.batch_id, kind)
            await tell(journal, [e.FileDeleted(file_id=file_id, owner=OWNER, at=datetime.now(UTC))])
        await eventually(lambda: _is_erased(journal))
        with suppress(TimeoutError):
            await eventually(lambda: _is_nowhere(place))
        in_history = await in_log(historic.log, SECRET.encode())
    report = await verified(place, historic)
    assert report.differences == []
    return [*in_files(place.home, SECRET.encode()), *filter(None, [in_history])]


async def _is_erased(journal: Journal) -> bool:
    newest = await journal.log.last(f"evt.batch.{WORDY.batch_id}.archived")
    assert newest is not None
    event = codec.decode(newest)
    return isinstance(event, e.BatchArchived) and event.erased == ("error", "output")


async def _is_nowhere(place: Place) -> bool:
    return not list(in_files(place.home, SECRET.encode()))


async def test_the_answers_of_deleted_files_are_nowhere_and_a_rebuild_equals_what_is_served(
    place: Place, journal: Journal
):
    assert await erased(place, journal) == []


async def test_an_erasure_that_forgets_the_growing_file_is_caught(
    place: Place, journal: Journal, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tests.integration.results.stage.WAIT_SECONDS", 3.0)
    monkeypatch.setattr(FolderOfPartials, "remove", lambda partials, batch_id: None)
    assert [found.place for found in await erased(place, journal)] == [
        f"results/{partial_results_path(WORDY.batch_id)}"
    ]
