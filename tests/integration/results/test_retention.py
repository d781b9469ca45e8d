"""Files go when the operator's policy says so, as if their owners had deleted them; the log tells it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec
import pytest

from tests.integration.results.stage import Place, Story, eventually, results_running, tell
from vbatch.contracts import codec, events as e
from vbatch.contracts.ids import output_file_id
from vbatch.journal.port import Journal
from vbatch.results.adapters.retention_file import RetentionFile
from vbatch.results.flows.archiving import read_until
from vbatch.results.flows.retaining import RetentionMeans

pytestmark = pytest.mark.integration

OLD = timedelta(days=40)


@pytest.fixture
def place(place: Place) -> Place:
    return replace(place, sweep_seconds=0.1, grace_seconds=0.0)


def stored(story: Story, age: timedelta) -> e.AnyEvent:
    event = story.opening()[0]
    assert isinstance(event, e.FileStored)
    return msgspec.structs.replace(event, at=datetime.now(UTC) - age)


async def deleted_files(journal: Journal) -> list[str]:
    lists = read_until(journal.log, ("evt.file.*.deleted",), 0)
    events = [codec.decode(record) async for records in lists for record in records]
    return [event.file_id for event in events if isinstance(event, e.FileDeleted)]


async def test_files_go_by_policy_and_by_a_policy_that_changes_meanwhile(
    place: Place, journal: Journal, tmp_path: Path
):
    done, running, fresh = Story(1, total=10), Story(2, total=10), Story(3, total=10)
    policy, readable = tmp_path / "retention.toml", list[bool]()
    for story, age in ((done, OLD), (running, OLD), (fresh, timedelta(0))):
        await place.put_input(story)
        await tell(journal, [stored(story, age)])
    finalizing = msgspec.structs.replace(done.finalizing(), at=datetime.now(UTC))
    await tell(journal, [*done.opening()[1:], *done.chunks(), finalizing, *running.opening()[1:]])
    means = RetentionMeans(RetentionFile(policy), 0.1, readable.append)
    async with results_running(place, journal, retention=means):
        await place.has_status(done, "completed")
        assert await deleted(place) == set()

        policy.write_text('[retention]\ninputs = "30d"\noutputs = "1h"')
        await eventually(partial(is_gone, place, done))
        policy.write_text("[retention]\ninputs = 1")
        await eventually(lambda: says(readable, is_readable=False))
        assert await deleted(place) == {done.file_id}, "a running batch reads the other, and the third is young"

        policy.write_text('[retention]\ninputs = "30d"\noutputs = "0h"')
        outputs = {output_file_id(done.batch_id, "output"), output_file_id(done.batch_id, "error")}
        await eventually(lambda: all_deleted(place, {done.file_id, *outputs}))
        await eventually(lambda: no_partial(place, done))
    assert sorted(await deleted_files(journal)) == sorted({done.file_id, *outputs}), "each once"


async def is_gone(place: Place, story: Story) -> bool:
    return not await place.blobs.exists(story.input_blob)


async def says(readable: list[bool], *, is_readable: bool) -> bool:
    return readable[-1] is is_readable


async def deleted(place: Place) -> set[str]:
    return {row["id"] for row in await place.rows("file", "deleted_at IS NOT NULL")}


async def all_deleted(place: Place, files: set[str]) -> bool:
    return await deleted(place) == files


async def no_partial(place: Place, story: Story) -> bool:
    return not place.partial_path(story).exists()
