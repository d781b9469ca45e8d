"""What is rebuilt from the log is what is served; where it is not, the place is named; and it can take over."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from tests.integration.results.stage import Place, Story, eventually, results_running, tell
from tests.support.events import OWNER
from tests.support.nats import NatsServer
from vbatch.contracts import events as e
from vbatch.contracts.failures import FileFault
from vbatch.contracts.ids import output_file_id
from vbatch.contracts.message import Message
from vbatch.contracts.read_model import PAST_SCHEMA, REBUILT_SCHEMA, SCHEMA, partial_results_path
from vbatch.journal.jetstream import connect
from vbatch.journal.port import Journal
from vbatch.journal.settings import JournalSettings
from vbatch.results.adapters.generations import PostgresGenerations
from vbatch.results.adapters.partials import FolderOfPartials
from vbatch.results.adapters.postgres import read_model
from vbatch.results.flows.rebuilding import RebuildOptions, clean, rebuild
from vbatch.results.flows.replaying import ReplayDependencies, Report

pytestmark = pytest.mark.integration

COMPLETED, CANCELLED, EXPIRED, FAILED, RUNNING = (
    Story(1, total=40),
    Story(2, total=30, answered=12),
    Story(3, total=20, answered=5),
    Story(4, total=10),
    Story(5, total=30, answered=16),
)
STORIES = (COMPLETED, CANCELLED, EXPIRED, FAILED, RUNNING)


def dependencies(place: Place, journal: Journal) -> ReplayDependencies:
    folder = place.home / "results"
    return ReplayDependencies(
        journal=journal,
        generations=PostgresGenerations(place.postgres_url),
        open_model=lambda schema, below: read_model(place.postgres_url, schema, below),
        partials=lambda: FolderOfPartials(folder),
        blobs=place.blobs,
        folder=folder,
        pid=os.getpid(),
        now=lambda: datetime.now(UTC),
        on_progress=lambda progress: None,
        projecting_again_seconds=0.0,
    )


async def verified(place: Place, journal: Journal) -> Report:
    return await rebuild(dependencies(place, journal), RebuildOptions(verify=True))


async def tell_all(place: Place, journal: Journal) -> None:
    for story in STORIES:
        await place.put_input(story)
    await tell(journal, [*COMPLETED.opening(), *COMPLETED.chunks(), COMPLETED.finalizing()])
    await tell(journal, [*CANCELLED.opening(), *CANCELLED.chunks(), CANCELLED.cancel_requested()])
    await tell(journal, [CANCELLED.finalizing(e.Ending.CANCELLED), CANCELLED.late()])
    await tell(journal, [*EXPIRED.opening(), *EXPIRED.chunks(), EXPIRED.finalizing(e.Ending.EXPIRED)])
    await journal.log.append(Message("evt.batch.b1.created", b"{", "bad", {"ce-type": "vbatch.batch.created.v1"}))
    fault = e.BatchFault(code=FileFault.INVALID_JSON_LINE, message="Not JSON.", line=2)
    opening = FAILED.opening()
    rejected = e.BatchRejected(batch_id=FAILED.batch_id, faults=(fault,), at=opening[0].at)
    await tell(journal, [*opening[:2], rejected, *RUNNING.opening(), *RUNNING.chunks()])


@asynccontextmanager
async def told(place: Place, journal: Journal) -> AsyncIterator[None]:
    """Batches of every ending, and one that runs; results goes on projecting."""
    await tell_all(place, journal)
    async with results_running(place, journal):
        await place.has_status(COMPLETED, "completed")
        await place.has_status(CANCELLED, "cancelled")
        await place.has_status(EXPIRED, "expired")
        await place.has_status(FAILED, "failed")
        await place.has_projected(await journal.log.last_sequence())
        yield


async def test_after_every_kind_of_ending_what_is_served_equals_the_log(place: Place, journal: Journal):
    async with told(place, journal):
        report = await verified(place, journal)
    assert (report.is_compared, report.differences, report.unverified) == (True, [], [])
    assert report.outcomes == sum(len(story.outcomes()) for story in STORIES if story is not FAILED)


@pytest.mark.parametrize(
    ("statement", "where", "what"),
    [
        ("UPDATE batch SET completed = 0 WHERE id = $1", "batch id {id}", "differs in completed"),
        ("DELETE FROM batch WHERE id = $1", "batch id {id}", "follows from the log, but is not served"),
    ],
)
async def test_a_row_that_was_tampered_with_is_named(
    place: Place, journal: Journal, statement: str, where: str, what: str
):
    async with told(place, journal):
        async with place.connected() as connection:
            await connection.execute(statement, COMPLETED.batch_id)
        report = await verified(place, journal)
    assert report.differences == [(where.format(id=COMPLETED.batch_id), what)]


async def test_an_outcome_that_no_event_told_is_named(place: Place, journal: Journal):
    async with told(place, journal):
        async with place.connected() as connection:
            await connection.execute(
                "INSERT INTO outcome SELECT 0, line, start, length, custom_id, 200, NULL, 0, 0, 0, 1"
                " FROM outcome LIMIT 1"
            )
        report = await verified(place, journal)
    [difference] = report.differences
    assert difference.where.startswith("outcome batch_sequence 0, line ")
    assert difference.what == "is served, but does not follow from the log"


async def test_a_changed_byte_in_a_file_is_named_with_its_line(place: Place, journal: Journal):
    async with told(place, journal):
        flip(place.home / "results" / partial_results_path(RUNNING.batch_id), line=3)
        [output] = [row for row in await place.rows("file") if row["filename"] == f"{COMPLETED.batch_id}_output.jsonl"]
        flip(place.home / "blobs" / output["blob"], line=2)
        report = await verified(place, journal)
    assert report.differences == [
        (f"file {output['id']} ({output['blob']})", "line 2 differs"),
        (f"growing JSONL of {RUNNING.batch_id}, line 3", "differs"),
    ]


async def test_sealed_files_that_need_a_deleted_input_are_not_compared_and_said_so(place: Place, journal: Journal):
    async with told(place, journal):
        await place.blobs.delete(EXPIRED.input_blob)
        report = await verified(place, journal)
    assert (report.differences, len(report.unverified)) == ([], 1)
    assert EXPIRED.batch_id in report.unverified[0]


async def test_after_files_were_deleted_or_expired_what_is_served_still_equals_the_log(place: Place, journal: Journal):
    place = replace(place, sweep_seconds=0.05)
    async with told(place, journal):
        output = output_file_id(COMPLETED.batch_id, "output")
        await tell(journal, [e.FileDeleted(file_id=output, owner=OWNER, at=datetime.now(UTC))])
        await eventually(partial(is_unlinked, place.partial_path(COMPLETED)))
        report = await verified(place, journal)
    assert (report.is_compared, report.differences, report.unverified) == (True, [], [])
    rebuilt = place.home / "results" / report.folder
    assert not (rebuilt / partial_results_path(COMPLETED.batch_id)).exists(), "a rebuild brings no deleted answer back"
    assert (rebuilt / partial_results_path(RUNNING.batch_id)).read_bytes() == place.partial(RUNNING)


async def test_an_earlier_state_holds_no_answers_that_were_deleted_since(place: Place, journal: Journal):
    async with told(place, journal):
        before = await journal.log.last_sequence()
        output = output_file_id(COMPLETED.batch_id, "output")
        await place.has_projected(
            await tell(journal, [e.FileDeleted(file_id=output, owner=OWNER, at=datetime.now(UTC))])
        )
        report = await rebuild(dependencies(place, journal), RebuildOptions(until=before))
    past = place.home / "results" / report.folder
    assert not (past / partial_results_path(COMPLETED.batch_id)).exists()
    assert (past / partial_results_path(RUNNING.batch_id)).exists()


async def is_unlinked(path: Path) -> bool:
    return not await asyncio.to_thread(path.exists)


async def test_the_state_of_an_earlier_moment_stands_apart(place: Place, journal: Journal):
    async with told(place, journal):
        before = 3 + len(COMPLETED.chunks())
        report = await rebuild(dependencies(place, journal), RebuildOptions(until=before))
        past = replace(place, schema=PAST_SCHEMA)
        assert await past.status(COMPLETED) == "in_progress"
        assert await place.status(COMPLETED) == "completed"
    assert (place.home / "results" / report.folder / partial_results_path(COMPLETED.batch_id)).read_bytes() == (
        place.partial(COMPLETED)
    )


async def test_a_rebuilt_read_model_takes_over_and_results_goes_on_with_it(
    place: Place, journal: Journal, nats: NatsServer
):
    async with told(place, journal):
        async with place.connected() as connection:
            await connection.execute("UPDATE batch SET completed = 0")
        async with connect(JournalSettings(url=nats.url, name="other")) as other:
            report = await switched(place, other)
    assert report.is_served
    async with results_running(place, journal):
        await tell(journal, [RUNNING.cancel_requested(), RUNNING.finalizing()])
        await place.has_status(RUNNING, "cancelled")
        again = await verified(place, journal)
    assert again.differences == []
    assert (await place.rows("(SELECT folder, 0 FROM checkpoint) AS it"))[0]["folder"] == report.folder


async def switched(place: Place, journal: Journal) -> Report:
    return await rebuild(dependencies(place, journal), RebuildOptions(switch=True))


async def test_another_version_is_replaced_and_cleaned_away(place: Place, journal: Journal):
    async with told(place, journal):
        pass
    async with place.connected() as connection:
        await connection.execute(f"COMMENT ON SCHEMA {SCHEMA} IS 'vbatch read model of yesterday'")
        await connection.execute("ALTER TABLE checkpoint DROP COLUMN folder")
    await switched(place, journal)
    assert await place.status(COMPLETED) == "completed"
    assert list((place.home / "results").glob("*.jsonl")) != []
    await clean(dependencies(place, journal))
    assert list((place.home / "results").glob("*.jsonl")) == []
    assert await schemas(place) == {SCHEMA}


async def test_a_difference_keeps_a_verified_one_from_being_served(place: Place, journal: Journal):
    async with told(place, journal):
        async with place.connected() as connection:
            await connection.execute("UPDATE batch SET completed = 0 WHERE id = $1", COMPLETED.batch_id)
        report = await rebuild(dependencies(place, journal), RebuildOptions(verify=True, switch=True))
    assert (report.difference_count, report.is_served) == (1, False)
    assert await schemas(place) == {SCHEMA, REBUILT_SCHEMA}


async def schemas(place: Place) -> set[str]:
    async with place.connected() as connection:
        rows = await connection.fetch("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'read_model%'")
        return {row["nspname"] for row in rows}


def flip(path, line: int) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    lines[line - 1] = lines[line - 1].replace(b'"', b"'", 1)
    path.write_bytes(b"".join(lines))
