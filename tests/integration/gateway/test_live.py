"""Answers and events while a batch runs."""

import asyncio
import json

import pytest

from tests.integration.gateway.stage import Stage, read_frames, stage_set
from tests.integration.results.stage import Place, Story, eventually
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
