"""From the log to sealed files, on a real NATS server and a real PostgreSQL."""

import asyncio
from typing import Any

import pytest

from tests.integration.results.stage import Place, Story, results_running, tell
from tests.support.events import NOON
from vbatch.contracts import events as e
from vbatch.contracts.failures import RequestFault
from vbatch.contracts.ids import output_file_id
from vbatch.contracts.lines import output_line
from vbatch.journal.port import Fenced, Journal
from vbatch.journal.single_writer import SingleWriter
from vbatch.results.adapters.partials import FolderOfPartials
from vbatch.results.adapters.postgres import read_model
from vbatch.results.core.projection import State
from vbatch.results.flows import sealing
from vbatch.results.flows.projecting import Projector
from vbatch.results.flows.sealing import Sealer
from vbatch.results.flows.serving import lease

pytestmark = pytest.mark.integration


async def test_a_completed_batch_has_its_answers_in_input_order(place: Place, journal: Journal):
    story = Story(1, total=50)
    await place.put_input(story)
    async with results_running(place, journal):
        await tell(journal, [*story.opening(), *story.chunks(), story.finalizing(), story.late()])
        await place.has_status(story, "completed")

    assert await place.sealed_files(story) == story.files()


async def test_the_growing_file_holds_each_answer_once_in_the_order_of_the_log(place: Place, journal: Journal):
    story = Story(1, total=50)
    await place.put_input(story)
    async with results_running(place, journal):
        await place_told(place, journal, story, [*story.opening(), *story.chunks()])

    assert place.partial(story) == b"".join(output_line(story.batch_id, outcome) for outcome in story.outcomes()[::-1])


async def test_the_row_of_a_completed_batch_counts_first_outcomes_only(place: Place, journal: Journal):
    story = Story(1, total=50)
    await place.put_input(story)
    async with results_running(place, journal):
        await tell(journal, [*story.opening(), *story.chunks(), story.finalizing(), story.late()])
        await place.has_status(story, "completed")

    [row] = await place.rows("batch")
    outcomes = story.outcomes()
    assert row["total"] == 50
    assert row["completed"] == sum(outcome.is_success for outcome in outcomes)
    assert row["failed"] == 50 - row["completed"]
    assert row["input_tokens"] == sum(outcome.usage.input_tokens for outcome in outcomes)
    assert row["output_file_id"] == output_file_id(story.batch_id, "output")
    assert row["metadata"] == '{"z":"last","a":"nul \\u0000"}'


@pytest.mark.parametrize(
    ("ending", "fault"),
    [(e.Ending.CANCELLED, RequestFault.BATCH_CANCELLED), (e.Ending.EXPIRED, RequestFault.BATCH_EXPIRED)],
)
async def test_lines_that_never_ran_stand_in_the_error_file(
    place: Place, journal: Journal, ending: e.Ending, fault: RequestFault
):
    story = Story(1, total=50, answered=20)
    await place.put_input(story)
    cancel = [story.cancel_requested()] if ending is e.Ending.CANCELLED else []
    async with results_running(place, journal):
        await tell(journal, [*story.opening(), *cancel, *story.chunks(), story.finalizing(ending)])
        await place.has_status(story, ending.value)

    assert await place.sealed_files(story) == story.files(fault)


async def test_a_batch_cancelled_while_validating_has_no_files(place: Place, journal: Journal):
    story = Story(1, total=5)
    stored, created, _validated = story.opening()
    async with results_running(place, journal):
        await tell(journal, [stored, created, story.cancel_requested(), story.finalizing(e.Ending.CANCELLED)])
        await place.has_status(story, "cancelled")

    assert await place.sealed_files(story) == {}


async def test_an_answer_kept_in_a_blob_comes_out_whole(place: Place, journal: Journal):
    story = Story(1, total=1)
    await place.put_input(story)
    [outcome] = story.outcomes()
    async with place.blobs.writer("answers/big") as writer:
        await writer.write(bytes(outcome.body))
    kept = e.Outcome(line=1, custom_id=outcome.custom_id, status_code=200, body_blob="answers/big")
    async with results_running(place, journal):
        await tell(journal, [*story.opening(), story._chunk(1, 1, [kept]), story.finalizing()])
        await place.has_status(story, "completed")

    assert await place.sealed_files(story) == {"output": output_line(story.batch_id, outcome)}


async def place_told(place: Place, journal: Journal, story: Story, events: list[e.AnyEvent]) -> None:
    await place.has_projected(await tell(journal, events))


async def test_a_small_batch_does_not_wait_for_the_seals_of_large_ones(
    place: Place, journal: Journal, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sealing, "LONG_SEAL_REQUESTS", 20)
    large, small = [Story(number, total=20) for number in (1, 2, 3)], Story(4, total=5)
    async with results_running(place, journal):
        for story in large:
            await place.put_input(story)
            await place_told(place, journal, story, [*story.opening(), *story.chunks()])
            place.partial_path(story).unlink()  # its seal waits until the file is put back
        await tell(journal, [story.finalizing() for story in large])
        await place.put_input(small)
        await tell(journal, [*small.opening(), *small.chunks(), small.finalizing()])
        await place.has_status(small, "completed")

    assert await place.sealed_files(small) == small.files()


async def test_a_zombie_cannot_seal(place: Place, journal: Journal):
    story = Story(1, total=5)
    await place.put_input(story)
    folder = place.home / "results"
    folder.mkdir(parents=True)
    old = SingleWriter(journal, "results")
    await old.take_lease(lease(1, NOON))
    states: list[State] = []
    async with read_model(place.postgres_url) as model:
        parts: dict[str, Any] = {"read_model": model, "partials": FolderOfPartials(folder), "blobs": place.blobs}
        projector = Projector(old, on_committed=lambda committed: states.append(committed.state), **parts)
        projecting = asyncio.create_task(projector.run())
        await place_told(place, journal, story, [*story.opening(), *story.chunks(), story.finalizing()])
        projecting.cancel()
        head = await SingleWriter(journal, "results").take_lease(lease(2, NOON))
        sealer = Sealer(old, now=lambda: NOON, on_sealed=lambda event, size: None, **parts)
        sealer.offer(states[-1])
        with pytest.raises(ExceptionGroup) as caught:
            await sealer.run()

    assert caught.value.subgroup(Fenced)
    assert await journal.log.last_sequence() == head
