"""The bytes of files and answers that nobody can ask for go; those that are still read stay."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec
import pytest

from tests.integration.results.stage import Place, Story, eventually, results_running, tell
from tests.support.events import OWNER, RUNNER, SLICE
from vbatch.contracts import codec, events as e
from vbatch.contracts.answers import answer_blob, removed_bytes, swept_mark
from vbatch.contracts.ids import OutputKind, SliceId, output_file_id
from vbatch.journal.port import Journal

pytestmark = pytest.mark.integration


@pytest.fixture
def place(place: Place) -> Place:
    return replace(place, sweep_seconds=0.1, grace_seconds=0.0)


def now() -> datetime:
    return datetime.now(UTC)


def deleted(story: Story) -> e.AnyEvent:
    return e.FileDeleted(file_id=story.file_id, owner=OWNER, at=now())


async def is_gone(place: Place, story: Story) -> bool:
    return not await place.blobs.exists(story.input_blob)


async def test_a_file_deleted_under_a_running_batch_goes_when_the_batch_ends(place: Place, journal: Journal):
    read, unread = Story(1, total=10), Story(2, total=10)
    for story in (read, unread):
        await place.put_input(story)
    await tell(journal, [*read.opening(), unread.opening()[0], deleted(read), deleted(unread)])
    async with results_running(place, journal):
        await eventually(partial(is_gone, place, unread))
        assert not await is_gone(place, read)
        await tell(journal, [read.cancel_requested(), read.finalizing()])
        await place.has_status(read, "cancelled")
        await eventually(partial(is_gone, place, read))
        assert b'"request-1"' in (await place.sealed_files(read))["error"]


async def test_an_expired_file_goes_and_one_that_has_not_expired_stays(place: Place, journal: Journal):
    expired, living = Story(1, total=10), Story(2, total=10)
    for story, age in ((expired, -1), (living, 1)):
        await place.put_input(story)
        await tell(journal, [stored_until(story, now() + age * timedelta(hours=1))])
    async with results_running(place, journal):
        await eventually(partial(is_gone, place, expired))
        await place.has_projected(await journal.log.last_sequence())
    assert not await is_gone(place, living)


async def test_within_the_time_of_grace_a_deleted_file_keeps_its_bytes(place: Place, journal: Journal):
    fresh, old = Story(1, total=10), Story(2, total=10)
    for story in (fresh, old):
        await place.put_input(story)
    old_deletion = e.FileDeleted(file_id=old.file_id, owner=OWNER, at=now() - timedelta(hours=2))
    await tell(journal, [fresh.opening()[0], old.opening()[0], deleted(fresh), old_deletion])
    async with results_running(replace(place, grace_seconds=3600.0), journal):
        await eventually(partial(is_gone, place, old))
    assert not await is_gone(place, fresh)


async def test_an_answer_whose_runner_was_killed_before_its_chunk_goes_when_the_next_runner_begins(
    place: Place, journal: Journal
):
    story = Story(1, total=1)
    await place.put_input(story)
    [answered] = story.outcomes()
    epoch = await begun_life(journal)
    stored, stray = (answer_blob(epoch, SLICE, line) for line in (1, 2))
    for blob in (stored, stray):
        async with place.blobs.writer(blob) as writer:
            await writer.write(bytes(answered.body))
    shelved = msgspec.structs.replace(answered, body=e.NO_ANSWER, body_blob=stored)
    async with results_running(place, journal):
        chunk = story._chunk(1, 1, [shelved])
        await place.has_projected(await tell(journal, [*story.opening(), chunk]))
        assert await place.blobs.exists(stray), "its runner may still speak of it"
        await begun_life(journal)
        await eventually(lambda: is_swept(place, epoch))
        assert not await place.blobs.exists(stray)
        await tell(journal, [story.finalizing()])
        await place.has_status(story, "completed")
    assert await place.blobs.exists(stored)
    rebuilt = replace(place, schema="rebuilt")
    async with results_running(rebuilt, journal):
        await rebuilt.has_projected(await journal.log.last_sequence())


async def completed(place: Place, journal: Journal, story: Story) -> None:
    await tell(journal, [*story.opening(), *story.chunks(), story.finalizing()])
    await place.has_status(story, "completed")


async def is_unlinked(path: Path) -> bool:
    return not await asyncio.to_thread(path.exists)


def output_deleted(story: Story, kind: OutputKind = "output") -> e.AnyEvent:
    return e.FileDeleted(file_id=output_file_id(story.batch_id, kind), owner=OWNER, at=now())


@pytest.mark.parametrize("kind", ["output", "error"])
async def test_the_growing_answers_go_at_once_with_either_file_of_the_batch(
    place: Place, journal: Journal, kind: OutputKind
):
    story, other = Story(1, total=10), Story(2, total=10)
    for each in (story, other):
        await place.put_input(each)
    async with results_running(replace(place, sweep_seconds=3600.0), journal):
        for each in (story, other):
            await completed(place, journal, each)
        await tell(journal, [output_deleted(story, kind)])
        await eventually(partial(is_unlinked, place.partial_path(story)))
    assert place.partial_path(other).exists()


async def test_answers_that_expired_go_wherever_a_copy_of_them_stands(place: Place, journal: Journal):
    story = Story(1, total=10)
    await place.put_input(story)
    created = msgspec.structs.replace(story.opening()[1], output_expires_after_seconds=3600)
    old_copy = place.home / "results" / "past-7" / f"{story.batch_id}.jsonl"
    old_copy.parent.mkdir(parents=True)
    old_copy.write_bytes(b"an answer")
    ended = msgspec.structs.replace(story.finalizing(), at=now() - timedelta(days=2))
    async with results_running(place, journal):
        opening = story.opening()
        await tell(journal, [opening[0], created, opening[2], *story.chunks(), ended])
        await place.has_status(story, "completed")
        await eventually(partial(is_unlinked, place.partial_path(story)))
        await eventually(partial(is_unlinked, old_copy))


async def test_a_large_answer_gives_way_to_a_note_of_its_length_and_a_rebuild_comes_to_the_same_rows(
    place: Place, journal: Journal
):
    story = Story(1, total=2)
    await place.put_input(story)
    first, second = story.outcomes()
    epoch = await begun_life(journal)
    large, other_try = answer_blob(epoch, SLICE, 1), answer_blob(epoch, SliceId("s-1-2"), 1)
    for blob in (large, other_try):
        async with place.blobs.writer(blob) as writer:
            await writer.write(bytes(first.body) + b" " * 100)
    shelved = [msgspec.structs.replace(first, body=e.NO_ANSWER, body_blob=blob) for blob in (large, other_try)]
    chunks = [story._chunk(1, 1, [shelved[0], second]), story._chunk(2, 1, [shelved[1]])]
    async with results_running(place, journal):
        await tell(journal, [*story.opening(), *chunks, story.finalizing()])
        await place.has_status(story, "completed")
        rows = await place.rows("outcome")
        await tell(journal, [output_deleted(story)])
        for blob in (large, other_try):
            await eventually(partial(is_note, place, blob))
    rebuilt = replace(place, schema="rebuilt")
    async with results_running(rebuilt, journal):
        await rebuilt.has_projected(await journal.log.last_sequence())
    assert await rebuilt.rows("outcome") == rows


async def is_note(place: Place, blob: str) -> bool:
    size = await place.blobs.size(blob)
    return size < 100 and removed_bytes(await place.blobs.read_range(blob, 0, size)) is not None


async def begun_life(journal: Journal) -> int:
    leased = e.RunnerLeased(runner_id=RUNNER, device="cpu", memory_bytes=1, pid=1, at=now())
    return (await journal.log.acquire(codec.encode(leased, source="test"))).epoch


async def is_swept(place: Place, epoch: int) -> bool:
    return await place.blobs.exists(swept_mark(epoch))


def stored_until(story: Story, expires_at: datetime) -> e.AnyEvent:
    stored = story.opening()[0]
    assert isinstance(stored, e.FileStored)
    return msgspec.structs.replace(stored, expires_at=expires_at)
