"""Whatever is killed when, the rows and the bytes are those of the log."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import asyncpg
import psutil
import pytest

from tests.integration.results.stage import Place, Story, eventually, results_process, results_running, tell
from tests.support.nats import NatsServer
from tests.support.postgres import running_postgres
from vbatch.contracts.lines import output_line
from vbatch.contracts.message import Message
from vbatch.contracts.read_model import partial_results_path
from vbatch.journal.jetstream import connect
from vbatch.journal.port import Fenced, Journal
from vbatch.journal.settings import JournalSettings
from vbatch.local import postgres
from vbatch.results.ports import ReadModelMismatch

pytestmark = pytest.mark.integration

KILLS = 4
TABLES = ("checkpoint", "file", "batch", "outcome", "model", "runner")


async def test_kill_9_in_a_stream_of_chunks_loses_and_doubles_nothing(place: Place, journal: Journal, tmp_path: Path):
    story = Story(1, total=2000, padding=2000)
    await place.put_input(story)
    await tell(journal, story.opening())
    telling = asyncio.create_task(tell(journal, [*story.chunks(), story.finalizing()]))
    for kill in range(KILLS):
        with results_process(place, tmp_path / "results.log") as child:
            await eventually(partial(_has_outcomes, place, story.total * (kill + 1) // (KILLS + 2)))
            child.kill()
    with results_process(place, tmp_path / "results.log"):
        await telling
        await place.has_status(story, "completed")

    assert await place.sealed_files(story) == story.files()
    assert place.partial(story) == b"".join(output_line(story.batch_id, outcome) for outcome in story.outcomes()[::-1])
    assert [row["line"] for row in await place.rows("outcome")] == story.request_lines()


async def test_bytes_that_a_lost_transaction_left_are_cut_off(place: Place, journal: Journal):
    story = Story(1, total=20)
    await place.put_input(story)
    async with results_running(place, journal):
        await place.has_projected(await tell(journal, [*story.opening(), *story.chunks()[:2]]))
    with (place.home / "results" / partial_results_path(story.batch_id)).open("ab") as file:
        file.write(b'{"half')
    async with results_running(place, journal):
        await tell(journal, [*story.chunks()[2:], story.finalizing()])
        await place.has_status(story, "completed")

    assert place.partial(story) == b"".join(output_line(story.batch_id, outcome) for outcome in story.outcomes()[::-1])


async def test_postgresql_may_go_away_and_come_back(nats: NatsServer, journal: Journal, tmp_path: Path):
    story = Story(1, total=100)
    with running_postgres(tmp_path) as server:
        place = Place(tmp_path / "home", nats.url, server.url())
        await place.put_input(story)
        async with results_running(place, journal):
            chunks = story.chunks()
            await place.has_projected(await tell(journal, [*story.opening(), *chunks[:6]]))
            os.kill(server.pid, signal.SIGQUIT)
            await tell(journal, [*chunks[6:], story.finalizing()])
            await eventually(lambda: _is_gone(server.url()))
            with _restarted(tmp_path, server.port):
                await place.has_status(story, "completed")
                assert await place.sealed_files(story) == story.files()


async def test_a_killed_process_of_one_connection_ends_them_all_and_nothing_is_lost(
    nats: NatsServer, journal: Journal, tmp_path: Path
):
    story = Story(1, total=100)
    with running_postgres(tmp_path) as server:
        place = Place(tmp_path / "home", nats.url, server.url())
        await place.put_input(story)
        async with results_running(place, journal):
            chunks = story.chunks()
            await place.has_projected(await tell(journal, [*story.opening(), *chunks[:6]]))
            _oldest_serving(server.pid).kill()
            await tell(journal, [*chunks[6:], story.finalizing()])
            await place.has_status(story, "completed")
            assert await place.sealed_files(story) == story.files()


async def test_what_was_projected_stays_so_when_postgresql_is_killed(
    nats: NatsServer, journal: Journal, tmp_path: Path
):
    story = Story(1, total=5)
    with running_postgres(tmp_path) as server:
        place = Place(tmp_path / "home", nats.url, server.url())
        await place.put_input(story)
        async with results_running(place, journal):
            sequence = await tell(journal, [*story.opening(), *story.chunks()])
            await place.has_projected(sequence)
            await asyncio.to_thread(_kill_with_family, server.pid)
            (tmp_path / "postgres" / "postmaster.pid").unlink()  # we have not reaped it, so its number is still taken
            with _restarted(tmp_path, server.port):
                await place.has_projected(sequence)


async def test_what_cannot_be_read_is_buried_and_passed(place: Place, journal: Journal):
    story = Story(1, total=3)
    await place.put_input(story)
    bad = Message("evt.batch.b1.created", b"{", "bad", {"ce-type": "vbatch.batch.created.v1"})
    async with results_running(place, journal):
        sequence = await journal.log.append(bad)
        await tell(journal, [*story.opening(), *story.chunks(), story.finalizing()])
        await place.has_status(story, "completed")

    [letter] = await journal.dead.list()
    assert letter.original.sequence == sequence
    assert "vbatch.batch.created.v1" in letter.reason


async def test_the_older_of_two_processes_stops(place: Place, journal: Journal, nats: NatsServer):
    async with connect(JournalSettings(url=nats.url, name="newer")) as other, results_running(place, journal) as older:
        await place.has_projected(await journal.log.last_sequence())
        async with results_running(place, other) as newer:
            await asyncio.wait([older], timeout=10)
            assert older.done() and not newer.done()
            with pytest.raises(ExceptionGroup) as caught:
                await older
            assert caught.value.subgroup(Fenced)
            story = Story(1, total=3)
            await place.put_input(story)
            await tell(other, [*story.opening(), *story.chunks(), story.finalizing()])
            await place.has_status(story, "completed")


async def test_a_process_that_is_fenced_exits_non_zero(place: Place, journal: Journal, tmp_path: Path):
    with results_process(place, tmp_path / "older.log") as older:
        await eventually(lambda: _has_head(place, journal))
        with results_process(place, tmp_path / "newer.log") as newer:
            assert await asyncio.to_thread(older.wait, 15) == 1
            assert newer.poll() is None
    assert "fenced_by_a_newer_process" in (tmp_path / "older.log").read_text()


async def test_a_process_that_is_asked_to_stop_exits_zero(place: Place, journal: Journal, tmp_path: Path):
    with results_process(place, tmp_path / "results.log") as child:
        await eventually(lambda: _has_head(place, journal))
        child.terminate()
        assert await asyncio.to_thread(child.wait, 15) == 0


async def test_the_same_log_gives_the_same_rows_and_bytes(place: Place, journal: Journal):
    stories = [Story(1, total=40), Story(2, total=30, answered=11)]
    for story in stories:
        await place.put_input(story)
    async with results_running(place, journal):
        await place.has_projected(await tell(journal, [*stories[1].opening(), *stories[1].chunks()]))
        await tell(journal, [*stories[0].opening(), *stories[0].chunks(), stories[0].finalizing()])
        await place.has_status(stories[0], "completed")
    rebuilt = Place(place.home.parent / "rebuilt", place.nats_url, place.postgres_url, "rebuilt")
    async with results_running(rebuilt, journal):
        await rebuilt.has_projected(await journal.log.last_sequence())
    async with results_running(place, journal):
        await place.has_projected(await journal.log.last_sequence())

    for table in TABLES[1:]:
        assert await rebuilt.rows(table) == await place.rows(table), table
    assert [rebuilt.partial(story) for story in stories] == [place.partial(story) for story in stories]


async def test_a_schema_of_another_version_is_refused(place: Place, journal: Journal):
    async with results_running(place, journal):
        await place.has_projected(1)
    async with place.connected() as connection:
        await connection.execute(f"COMMENT ON SCHEMA {place.schema} IS 'vbatch read model of yesterday'")
    async with results_running(place, journal) as task:
        with pytest.raises(ExceptionGroup) as caught:
            await task
    assert caught.group_contains(ReadModelMismatch, match="run `vbatch rebuild --switch`")


async def _has_outcomes(place: Place, count: int) -> bool:
    async with place.connected() as connection:
        return bool(await connection.fetchval("SELECT count(*) FROM outcome") >= count)


async def _has_head(place: Place, journal: Journal) -> bool:
    head = await journal.log.last_sequence()
    return head > 0 and bool((await place.rows("(SELECT sequence, 0 FROM checkpoint) AS it"))[0]["sequence"] >= head)


async def _is_gone(url: str) -> bool:
    try:
        connection = await asyncpg.connect(url, timeout=1)
    except (OSError, asyncpg.PostgresError):
        return True
    await connection.close()
    return False


def _oldest_serving(pid: int) -> psutil.Process:
    """Of the processes of a PostgreSQL that each serve one connection: the younger ones are this test's own looks."""
    return min(filter(_is_serving, psutil.Process(pid).children()), key=psutil.Process.create_time)


def _is_serving(process: psutil.Process) -> bool:
    try:
        return f" {postgres.HOST}(" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


def _kill_with_family(pid: int) -> None:
    """-9, and wait until its workers have noticed: only then another server may use their shared memory."""
    server = psutil.Process(pid)
    family = server.children(recursive=True)
    server.kill()
    psutil.wait_procs(family, 10)


@contextmanager
def _restarted(folder: Path, port: int) -> Iterator[None]:
    """The same server on the same port, after it was killed."""
    ran = postgres.command(folder / "postgres", port, dies_with_parent=True)
    with (folder / "again.log").open("wb") as log:
        child = subprocess.Popen(ran.argv, env=os.environ | ran.env, stdout=log, stderr=log, cwd="/")
    try:
        yield
    finally:
        child.send_signal(signal.SIGINT)
        child.wait(20)
