"""Answers and events while a batch runs."""

import asyncio
import json

import pytest

from tests.integration.gateway.stage import Stage, gateway_running, read_frames, stage_set
from tests.integration.results.stage import Place, Story, eventually, results_running, tell
from vbatch.contracts.ids import OutputKind, output_file_id
from vbatch.contracts.message import Message
from vbatch.journal.port import Journal

pytestmark = pytest.mark.integration


async def test_answers_so_far_are_streamed_in_the_order_recorded(stage: Stage):
    story = Story(1, total=30)
    await stage.tell(*story.opening(), *story.chunks()[:4])
    answer = await stage.ask("GET", f"/v1/batches/{story.batch_id}/results")

    assert answer.body == stage.place.partial(story) and answer.body.count(b"\n") == 16
    assert (answer.headers["X-Incomplete"], answer.headers["X-Last-Line"]) == ("true", "33")
    assert answer.headers["Content-Type"] == "application/jsonl"


async def test_a_batch_without_answers_has_empty_results(stage: Stage):
    story = Story(1, total=30)
    await stage.tell(*story.opening())
    answer = await stage.ask("GET", f"/v1/batches/{story.batch_id}/results")

    assert (answer.status, answer.body, answer.headers["X-Last-Line"]) == (200, b"", "0")


async def test_answers_can_be_paged_by_input_line(stage: Stage):
    story = Story(1, total=30)
    await stage.tell(*story.opening(), *story.chunks())
    seen, last_line = [], "0"
    while True:
        answer = await stage.ask("GET", f"/v1/batches/{story.batch_id}/results?after_line={last_line}&limit=7")
        if not answer.body:
            break
        seen += [json.loads(line)["custom_id"] for line in answer.body.splitlines()]
        last_line = answer.headers["X-Last-Line"]

    assert seen == [f"request-{line}" for line in story.request_lines()]


async def test_the_results_of_a_finished_batch_hold_every_line_once(stage: Stage):
    story = Story(1, total=30)
    await stage.place.put_input(story)
    await stage.tell(*story.opening(), *story.chunks(), story.finalizing())
    await stage.place.has_status(story, "completed")
    answer = await stage.ask("GET", f"/v1/batches/{story.batch_id}/results")

    assert answer.body == b"".join(story.files().values())
    assert answer.headers["X-Incomplete"] == "false"


EVERY_FORM_OF_RESULTS = ("", "?after_line=0", "?limit=5", "?after_byte=0", "?follow=true")


@pytest.mark.parametrize("form", EVERY_FORM_OF_RESULTS)
@pytest.mark.parametrize("kind", ["output", "error"])
async def test_once_a_file_of_the_batch_is_deleted_results_answer_as_its_content_does(
    stage: Stage, form: str, kind: OutputKind
):
    story = Story(1, total=30)
    await stage.place.put_input(story)
    await stage.tell(*story.opening(), *story.chunks(), story.finalizing())
    await stage.place.has_status(story, "completed")
    path = f"/v1/batches/{story.batch_id}/results{form}"
    assert (await stage.ask("GET", path)).status == 200
    deleted = output_file_id(story.batch_id, kind)
    await stage.client.files.delete(deleted)
    answer, content = await stage.ask("GET", path), await stage.ask("GET", f"/v1/files/{deleted}/content")
    assert (answer.status, answer.error) == (404, content.error)
    assert answer.error["message"] == f"No such File object: {deleted}"


async def test_answers_whose_growing_file_went_a_moment_ago_are_404_too(stage: Stage):
    story = Story(1, total=30)
    await stage.place.put_input(story)
    await stage.tell(*story.opening(), *story.chunks(), story.finalizing())
    await stage.place.has_status(story, "completed")
    stage.place.partial_path(story).unlink()
    for form in ("?limit=5", "?after_byte=0"):
        answer = await stage.ask("GET", f"/v1/batches/{story.batch_id}/results{form}")
        assert (answer.status, answer.error["param"]) == (404, "id")


async def test_a_stream_tells_the_whole_life_of_a_batch_and_ends(stage: Stage):
    story = Story(1, total=10)
    await stage.place.put_input(story)
    await stage.tell(*story.opening())
    following = asyncio.create_task(stage.frames(story.batch_id))
    await stage.tell(*story.chunks(), story.finalizing())
    frames = await following

    assert [frame.name for frame in frames] == [
        "batch.created", "batch.validated", *["batch.chunk_completed"] * 4, "batch.finalizing", "batch.completed",
    ]  # fmt: skip
    assert [frame.id for frame in frames] == sorted({frame.id for frame in frames})


async def test_who_hears_of_the_end_can_read_it(place: Place, journal: Journal):
    story = Story(1, total=10)
    async with stage_set(place, journal) as stage:
        await stage.tell(*story.opening())
    await tell(journal, [*story.chunks(), story.finalizing(), story.sealed()])
    async with gateway_running(place, journal) as stage, stage.following(story.batch_id) as stream:
        *_, before = await read_frames(stream, 7)
        async with results_running(place, journal):
            [last] = await read_frames(stream, 1)
            answer = await stage.ask("GET", f"/v1/batches/{story.batch_id}")

    assert (before.name, last.name) == ("batch.finalizing", "batch.completed")
    assert answer.json["status"] == "completed"


async def test_a_chunk_is_told_without_its_answers(stage: Stage):
    story = Story(1, total=10)
    await stage.tell(*story.opening(), *story.chunks())
    [*_, chunk] = await stage.frames(story.batch_id, most=3)

    assert chunk.data["lines"] == [11, 9, 8, 7, 6, 5, 4, 3]
    assert (chunk.data["succeeded"], chunk.data["failed"]) == (6, 2)
    assert chunk.data["usage"]["output_tokens"] == 14
    assert "outcomes" not in chunk.data


async def test_an_event_that_cannot_be_read_is_passed_over(stage: Stage):
    story = Story(1, total=10)
    await stage.place.put_input(story)
    await stage.tell(*story.opening())
    newer = {"ce-type": "vbatch.batch.paused.v9"}
    await stage.journal.log.append(Message(f"evt.batch.{story.batch_id}.paused", b"{}", "newer", newer))
    await stage.tell(*story.chunks(), story.finalizing())
    frames = await stage.frames(story.batch_id)

    assert frames[-1].name == "batch.completed"
    assert "batch.paused" not in [frame.name for frame in frames]


async def test_a_resumed_stream_gives_every_event_once(stage: Stage):
    story = Story(1, total=40)
    await stage.place.put_input(story)
    await stage.tell(*story.opening(), *story.chunks(), story.finalizing())
    await stage.place.has_status(story, "completed")
    whole = await stage.frames(story.batch_id)
    pieces = await stage.frames(story.batch_id, most=3)
    while pieces[-1].name != "batch.completed":
        pieces += await stage.frames(story.batch_id, after=pieces[-1].id, most=3)

    assert pieces == whole


async def test_a_subscriber_that_has_seen_the_end_is_told_not_to_come_back(stage: Stage):
    story = Story(1, total=10)
    await stage.place.put_input(story)
    await stage.tell(*story.opening(), *story.chunks(), story.finalizing())
    await stage.place.has_status(story, "completed")
    last = (await stage.frames(story.batch_id))[-1].id
    answer = await stage.ask("GET", f"/v1/batches/{story.batch_id}/events", headers={"Last-Event-ID": str(last)})

    assert answer.status == 204


async def test_no_more_streams_are_open_than_may_be(place: Place, journal: Journal):
    story = Story(1, total=10)
    async with stage_set(place, journal, event_streams_max=1) as stage:
        await stage.tell(*story.opening())
        async with stage.following(story.batch_id) as stream:
            await read_frames(stream, 1)
            refused = await stage.ask("GET", f"/v1/batches/{story.batch_id}/events")

    assert refused.status == 429 and refused.error["code"] == "rate_limit_exceeded"


async def test_a_subscriber_that_leaves_makes_room(place: Place, journal: Journal):
    story = Story(1, total=10)
    async with stage_set(place, journal, event_streams_max=1) as stage:
        await stage.tell(*story.opening())
        for _ in range(3):
            assert len(await stage.frames(story.batch_id, most=1)) == 1
            await eventually(lambda: has_room(stage))


async def has_room(stage: Stage) -> bool:
    return bool(stage.streams.open_count == 0)


async def test_open_streams_end_with_the_server(place: Place, journal: Journal):
    story = Story(1, total=10)
    async with asyncio.timeout(10):
        async with stage_set(place, journal) as stage:
            await stage.tell(*story.opening())
            async with stage.following(story.batch_id) as stream:
                await read_frames(stream, 2)
                stage.streams.closing.set()
                assert await read_frames(stream) == []


async def test_silence_is_filled_with_heartbeats(place: Place, journal: Journal):
    story = Story(1, total=10)
    async with stage_set(place, journal, heartbeat_seconds=0.05) as stage:
        await stage.tell(*story.opening())
        async with asyncio.timeout(5), stage.following(story.batch_id) as stream:
            await stream.readuntil(b"\n: keep-alive\n\n")


async def test_a_follower_gets_every_answer_once_and_the_end(stage: Stage):
    story = Story(1, total=40)
    await stage.place.put_input(story)
    chunks = story.chunks()
    await stage.tell(*story.opening(), *chunks[:3])
    following = asyncio.create_task(stage.ask("GET", f"/v1/batches/{story.batch_id}/results?follow=true"))
    await stage.tell(*chunks[3:8])
    await stage.tell(*chunks[8:], story.finalizing())
    answer = await asyncio.wait_for(following, 20)

    assert answer.body == stage.place.partial(story)
    assert (answer.headers["X-Incomplete"], answer.headers["Content-Type"]) == ("true", "application/jsonl")


async def test_a_follower_that_was_cut_off_goes_on_behind_its_last_byte(stage: Stage):
    story = Story(1, total=40)
    await stage.place.put_input(story)
    await stage.tell(*story.opening(), *story.chunks()[:4])
    path = f"/v1/batches/{story.batch_id}/results"
    async with stage.session.get(f"{stage.origin}{path}?follow=true") as response:
        seen = await response.content.readexactly(777)
    await stage.tell(*story.chunks()[4:], story.finalizing())
    await stage.place.has_status(story, "completed")
    rest = await stage.ask("GET", f"{path}?follow=true&after_byte={len(seen)}")

    assert seen + rest.body == stage.place.partial(story)
    assert rest.headers["X-Incomplete"] == "false"


async def test_answers_can_be_polled_without_missing_or_repeating_one(stage: Stage):
    story = Story(1, total=40)
    chunks, seen, at = story.chunks(), b"", "0"
    await stage.tell(*story.opening())
    for first in range(0, len(chunks), 3):
        await stage.tell(*chunks[first : first + 3])
        answer = await stage.ask("GET", f"/v1/batches/{story.batch_id}/results?after_byte={at}")
        seen, at = seen + answer.body, answer.headers["X-Next-Byte"]

    assert seen == stage.place.partial(story) and int(at) == len(seen)


async def test_followers_take_the_places_of_streams_and_end_with_the_server(place: Place, journal: Journal):
    story = Story(1, total=10)
    async with stage_set(place, journal, event_streams_max=1) as stage:
        await stage.tell(*story.opening())
        path = f"/v1/batches/{story.batch_id}/results?follow=true"
        async with asyncio.timeout(10), stage.session.get(stage.origin + path) as response:
            refused = await stage.ask("GET", path)
            stage.streams.closing.set()
            assert (await response.read(), refused.status) == (b"", 429)
        await eventually(lambda: has_room(stage))
