"""Lines with their requests, failures by kind, pace, the event log, and how the server is."""

import asyncio
import hashlib

import aiohttp
import pytest

from tests.integration.gateway.stage import Stage, stage_set
from tests.integration.results.stage import Place, Story
from vbatch.contracts.ids import OwnerId
from vbatch.gateway.core.api_keys import ApiKeys
from vbatch.journal.port import Journal

pytestmark = pytest.mark.integration

ADA, BOB = "sk-ada", "sk-bob"
KEYS = ApiKeys(
    {hashlib.sha256(key.encode()).hexdigest(): OwnerId(name) for key, name in ((ADA, "local"), (BOB, "bob"))}
)


async def told(stage: Stage, *, total: int = 30) -> Story:
    story = Story(1, total=total)
    await stage.place.put_input(story)
    await stage.tell(*story.opening(), *story.chunks())
    return story


async def test_lines_come_in_input_order_beside_their_requests(stage: Stage):
    story = await told(stage)
    page = (await stage.ask("GET", f"/v1/batches/{story.batch_id}/lines?limit=5")).json
    assert [line["line"] for line in page["data"]] == story.request_lines()[:5]
    assert page["has_more"] is True and page["last_line"] == 5
    rest = (await stage.ask("GET", f"/v1/batches/{story.batch_id}/lines?after_line=5&limit=200")).json
    assert [line["line"] for line in rest["data"]] == story.request_lines()[5:] and not rest["has_more"]


async def test_lines_are_filtered_by_outcome_and_custom_id(stage: Stage):
    story = await told(stage)
    failed = (await stage.ask("GET", f"/v1/batches/{story.batch_id}/lines?outcome=failed&limit=200")).json["data"]
    assert failed and all(line["line"] % 5 == 0 or line["line"] % 7 == 0 for line in failed)
    found = (await stage.ask("GET", f"/v1/batches/{story.batch_id}/lines?custom_id=request-3")).json["data"]
    assert [line["custom_id"] for line in found] == ["request-3", "request-31", "request-32", "request-33"]


async def test_one_line_is_given_whole(stage: Stage):
    story = await told(stage)
    line = (await stage.ask("GET", f"/v1/batches/{story.batch_id}/lines/3")).json
    assert line["request"]["custom_id"] == line["answer"]["custom_id"] == "request-3"
    assert line["answer"]["response"]["body"]["id"] == "answer 3"
    beyond = (await stage.ask("GET", f"/v1/batches/{story.batch_id}/lines/900")).json
    assert beyond["request"] is None and beyond["answer"] is None


async def test_failures_are_counted_by_kind(stage: Stage):
    story = await told(stage)
    kinds = (await stage.ask("GET", f"/v1/batches/{story.batch_id}/faults")).json["data"]
    counted = {(kind["error_code"], kind["status_code"]): kind["count"] for kind in kinds}
    timeouts = [line for line in story.request_lines() if line % 7 == 0]
    assert counted[("request_timeout", None)] == len(timeouts)
    assert next(kind["example"] for kind in kinds if kind["error_code"]) == "This took too long."
    assert counted[(None, 400)] == len([line for line in story.request_lines() if line % 5 == 0 and line % 7])


async def test_the_pace_counts_every_answer_once(stage: Stage):
    story = await told(stage)
    series = (await stage.ask("GET", f"/v1/batches/{story.batch_id}/series")).json
    assert sum(series["completed"]) + sum(series["failed"]) == story.total


async def test_the_log_is_paged_backwards_without_a_gap(stage: Stage):
    story = await told(stage)
    seen, before = [], ""
    while True:
        page = (await stage.ask("GET", f"/v1/events?detail=all&limit=7{before}")).json
        seen += [event["sequence"] for event in page["data"]]
        if not page["has_more"]:
            break
        before = f"&before={page['next_before']}"
    assert seen == list(range(await stage.journal.log.last_sequence(), 0, -1))
    own = (await stage.ask("GET", f"/v1/events?batch_id={story.batch_id}")).json["data"]
    assert [event["type"] for event in own] == ["batch.validated", "batch.created"]
    assert own[0]["sentence"].startswith("the file is valid: 30 requests")


async def test_the_live_log_begins_now_and_is_resumed(stage: Stage):
    story = Story(1, total=10)
    head = await stage.tell(*story.opening())
    async with asyncio.timeout(20), stage.session.get(f"{stage.origin}/v1/events/live") as live:
        assert await names(live.content, 1) == ["log.position"]
        await stage.tell(story.cancel_requested())
        assert await names(live.content, 1) == ["batch.cancel_requested"]
    headers = {"Last-Event-ID": str(head - 1)}
    async with asyncio.timeout(20), stage.session.get(f"{stage.origin}/v1/events/live", headers=headers) as live:
        assert await names(live.content, 3) == ["log.position", "batch.validated", "batch.cancel_requested"]


async def test_an_owner_sees_no_event_and_no_line_of_another(place: Place, journal: Journal):
    async with stage_set(place, journal, keys=KEYS) as stage:
        story = await told(stage)
        ada, bob = ({"Authorization": f"Bearer {key}"} for key in (ADA, BOB))
        own = (await stage.ask("GET", "/v1/events?aggregate=batch,file", headers=ada)).json["data"]
        assert {event["aggregate_id"] for event in own} == {story.batch_id, story.file_id}
        assert (await stage.ask("GET", "/v1/events?aggregate=batch,file&detail=all", headers=bob)).json["data"] == []
        for tail in ("lines", "lines/3", "faults", "series"):
            assert (await stage.ask("GET", f"/v1/batches/{story.batch_id}/{tail}", headers=bob)).status == 404
        assert (await stage.ask("GET", f"/v1/events?batch_id={story.batch_id}", headers=bob)).status == 404
        assert (await stage.ask("GET", "/v1/me", headers=bob)).json["owner"] == "bob"
        assert (await stage.ask("GET", "/v1/me")).status == 401


async def test_a_service_that_does_not_answer_is_said(lonely_stage: Stage):
    told = (await lonely_stage.ask("GET", "/v1/server")).json
    states = {service["name"]: service["state"] for service in told["services"]}
    assert states["scheduler"] == "unreachable" and told["is_ready"] is False


async def test_the_registry_tells_sources_and_no_secret(stage: Stage):
    await stage.place.has_projected(await stage.journal.log.last_sequence())
    models = {model["id"]: model for model in (await stage.ask("GET", "/v1/registry")).json["data"]}
    assert models["plain"]["engine"] == "simulated" and models["plain"]["loads"]["load_count"] == 0


async def test_the_input_that_was_deleted_leaves_the_answers(stage: Stage):
    story = await told(stage)
    await stage.ask("DELETE", f"/v1/files/{story.file_id}")
    page = (await stage.ask("GET", f"/v1/batches/{story.batch_id}/lines?limit=1")).json
    assert page["data"][0]["request"] is None and page["data"][0]["custom_id"] == "request-1"


async def names(content: aiohttp.StreamReader, most: int) -> list[str]:
    """The names of the next events."""
    found: list[str] = []
    async for line in content:
        if line.startswith(b"event: "):
            found.append(line[7:].decode().strip())
        if line == b"\n" and len(found) == most:
            break
    return found


async def test_the_life_of_a_batch_is_told_with_its_state_at_any_event(stage: Stage):
    story = await told(stage)
    view = (await stage.ask("GET", f"/v1/batches/{story.batch_id}/timeline")).json
    assert view["state"]["completed"] + view["state"]["failed"] == story.total == view["state"]["total"]
    assert not view["is_over"] and view["spans"][0]["kind"] == "validating"
    before = (await stage.ask("GET", f"/v1/batches/{story.batch_id}/timeline?at={view['steps'][0]}")).json["state"]
    assert (before["status"], before["total"], before["completed"]) == ("validating", 0, 0)
    assert (await stage.ask("GET", f"/v1/batches/{story.batch_id}/timeline?at=x")).status == 400
