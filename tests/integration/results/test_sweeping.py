"""The bytes of files and answers that nobody can ask for go; those that are still read stay."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec
import pytest

from tests.integration.results.stage import Place, Story, eventually, results_running, tell
from tests.support.events import OWNER, RUNNER, SLICE
from vbatch.contracts import codec
from vbatch.contracts import events as e
from vbatch.contracts.answers import answer_blob, swept_mark
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


async def begun_life(journal: Journal) -> int:
    leased = e.RunnerLeased(runner_id=RUNNER, device="cpu", memory_bytes=1, pid=1, at=now())
    return (await journal.log.acquire(codec.encode(leased, source="test"))).epoch


async def is_swept(place: Place, epoch: int) -> bool:
    return await place.blobs.exists(swept_mark(epoch))


def stored_until(story: Story, expires_at: datetime) -> e.AnyEvent:
    stored = story.opening()[0]
    assert isinstance(stored, e.FileStored)
    return msgspec.structs.replace(stored, expires_at=expires_at)
