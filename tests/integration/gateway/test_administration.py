"""What administrators do to the whole server over the API: each an event, each in the audit."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import CollectorRegistry

from tests.integration.gateway.stage import LINE, Stage, stage_set
from tests.integration.gateway.test_logs import batch_of, write
from tests.integration.results.stage import Place
from vbatch.chassis.health import Readiness, health_app
from vbatch.chassis.reported_settings import settings_page
from vbatch.contracts.codec import encode
from vbatch.contracts.events import BatchCancelRequested, BatchFinalizing, Ending
from vbatch.contracts.ids import BatchId
from vbatch.contracts.message import Message
from vbatch.journal.port import Journal
from vbatch.scheduler.settings import SchedulerSettings

pytestmark = pytest.mark.integration

SECRET = "sk-vb-PlantedX_0123456789abcdef0123456789abcdef"
FOLDER_SECRET = "planted-secret-of-the-state-folder"
PROMPT = "Tell me about my grandmother Ada, please"


async def audited(stage: Stage, **query: str) -> list[tuple[str, str]]:
    told = (await stage.ask("GET", "/v1/admin/audit", params={"order": "desc", **query})).json["data"]
    return [(entry["action"], entry["object_id"]) for entry in told]


async def buried(stage: Stage, message: Message, reason: str = "poison") -> int:
    await stage.journal.log.append(message)
    record = await stage.journal.log.last(message.subject)
    assert record is not None
    return await stage.journal.dead.append(record, reason)


async def test_all_work_is_paused_with_a_reason_and_resumed(stage: Stage):
    paused = await stage.ask("POST", "/v1/admin/queue/pause", json={"reason": "the device is needed"})
    assert (paused.status, paused.json["by"], paused.json["reason"]) == (200, "local", "the device is needed")
    again = await stage.ask("POST", "/v1/admin/queue/pause")
    assert again.json == paused.json
    assert (await stage.ask("GET", "/v1/admin/queue")).json == paused.json
    resumed = await stage.ask("POST", "/v1/admin/queue/resume")
    assert resumed.json["paused_at"] is None
    assert (await stage.ask("POST", "/v1/admin/queue/resume")).status == 200
    assert await audited(stage, action="queue") == [("queue.resumed", "main"), ("queue.paused", "main")]


async def test_everybody_sees_in_the_log_that_all_work_was_paused(stage: Stage):
    await stage.ask("POST", "/v1/admin/queue/pause", json={"reason": "a new disk"})
    (event,) = (await stage.ask("GET", "/v1/events?aggregate=queue")).json["data"]
    assert (event["type"], event["sentence"]) == ("queue.paused", "local paused all work (a new disk)")


@pytest.mark.parametrize("body", [{"reason": 1}, {"reason": "x" * 201}, {"why": "x"}, []])
async def test_a_pause_is_asked_for_well(stage: Stage, body: object):
    assert (await stage.ask("POST", "/v1/admin/queue/pause", json=body)).status == 400


async def test_a_dead_letter_is_shown_sent_again_and_removed(stage: Stage):
    batch_id = BatchId(await batch_of(stage))
    event = BatchCancelRequested(batch_id=batch_id, at=stage.parts.dependencies.now())
    letter = await buried(stage, encode(event, source="gateway"))
    (listed,) = (await stage.ask("GET", "/v1/admin/dead_letters")).json["data"]
    assert (listed["id"], listed["reason"], listed["obstacle"]) == (letter, "poison", None)
    shown = (await stage.ask("GET", f"/v1/admin/dead_letters/{letter}")).json
    assert json.loads(shown["body"])["batch_id"] == batch_id and shown["headers"]["ce-source"] == "/vbatch/gateway"
    retried = await stage.ask("POST", f"/v1/admin/dead_letters/{letter}/retry")
    assert retried.status == 200 and retried.json["sent_as"] > listed["original_sequence"]
    assert (await stage.ask("GET", "/v1/admin/dead_letters")).json["data"] == []
    assert ("dead_letter.retried", str(letter)) in await audited(stage, action="dead_letter")


async def test_a_dead_letter_is_dropped_and_the_audit_says_so(stage: Stage):
    letter = await buried(stage, Message("evt.batch.b1.created", b"{", "bad", {"ce-type": "vbatch.batch.created.v2"}))
    refused = await stage.ask("POST", f"/v1/admin/dead_letters/{letter}/retry")
    assert refused.status == 409 and "still cannot be read" in refused.error["message"]
    assert (await stage.ask("DELETE", f"/v1/admin/dead_letters/{letter}")).status == 200
    assert (await stage.ask("DELETE", f"/v1/admin/dead_letters/{letter}")).status == 404
    assert await audited(stage, action="dead_letter.dropped") == [("dead_letter.dropped", str(letter))]


async def test_what_another_service_writes_is_sent_again_by_command_only(stage: Stage):
    ended = BatchFinalizing(
        batch_id=BatchId(await batch_of(stage)),
        ending=Ending.COMPLETED,
        never_ran_count=0,
        at=stage.parts.dependencies.now(),
    )
    letter = await buried(stage, encode(ended, source="scheduler"))
    refused = await stage.ask("POST", f"/v1/admin/dead_letters/{letter}/retry")
    assert refused.status == 409 and f"`vbatch dead retry {letter}`" in refused.error["message"]


@pytest.mark.parametrize("path", ["dead_letters/0", "dead_letters/x", "dead_letters?limit=101", "logs?level=loud"])
async def test_asks_out_of_bounds_are_refused(stage: Stage, path: str):
    assert (await stage.ask("GET", f"/v1/admin/{path}")).status == 400


async def test_the_newest_lines_of_the_services_are_filtered(place: Place, journal: Journal):
    folder = place.home / "logs"
    write(folder, "scheduler", {"time": "2030-01-01T00:00:02Z", "event": "caught_up", "sequence": 5})
    write(folder, "results", {"time": "2030-01-01T00:00:01Z", "event": "trouble", "level": "warning", "reason": "Disk"})
    async with stage_set(place, journal) as stage:
        everything = (await stage.ask("GET", "/v1/admin/logs")).json["data"]
        warnings = (await stage.ask("GET", "/v1/admin/logs?level=warning&text=disk")).json["data"]
        one = (await stage.ask("GET", "/v1/admin/logs?service=scheduler&without=nothing")).json["data"]
        unknown = await stage.ask("GET", "/v1/admin/logs?service=engine")
    assert [line["event"] for line in everything] == ["trouble", "caught_up"]
    assert [line["service"] for line in warnings] == ["results"]
    assert [line["service"] for line in one] == ["scheduler"] and unknown.status == 400


async def test_settings_of_every_service_are_told_with_their_sources(place: Place, journal: Journal):
    """The scheduler here is its page alone; the others do not answer, and that is said."""
    page = settings_page(SchedulerSettings(home=place.home, lines_max=7))
    app: web.Application = health_app(Readiness(), CollectorRegistry(), [page])
    async with TestServer(app) as server, stage_set(place, journal, scheduler_url=str(server.make_url("/"))) as stage:
        told = (await stage.ask("GET", "/v1/admin/settings")).json["data"]
    by_service: dict[str, Any] = {each["service"]: each for each in told}
    assert list(by_service)[:2] == ["gateway", "scheduler"]
    lines = next(each for each in by_service["scheduler"]["settings"] if each["name"] == "lines_max")
    assert (lines["value"], lines["default"], lines["effect"]) == ("7", "50000", "restart")
    password = next(each for each in by_service["gateway"]["settings"] if each["name"] == "postgres_url")
    assert (password["value"], password["is_secret"]) == ("set", True)
    assert by_service["results"]["settings"] == [] and "no answer from" in by_service["results"]["trouble"]


async def test_a_rate_limit_is_a_setting_that_changes_live(stage: Stage):
    await stage.ask("POST", "/v1/admin/limits", json={"reads_per_minute_max": 5_000})
    gateway = (await stage.ask("GET", "/v1/admin/settings")).json["data"][0]
    reads = next(each for each in gateway["settings"] if each["name"] == "reads_per_minute_max")
    assert (reads["value"], reads["source"], reads["effect"]) == ("5000", "event", "live")


async def test_changes_are_told_with_what_was_before(stage: Stage):
    await stage.ask("POST", "/v1/admin/limits", json={"creates_per_minute_max": 60})
    await stage.ask("POST", "/v1/admin/owners/ann", json={"stored_bytes_max": 5})
    await stage.ask("POST", "/v1/admin/owners/ann", json={"stored_bytes_max": 7, "priority_max": 0})
    told = (await stage.ask("GET", "/v1/admin/changes")).json["data"]
    assert [(each["target"], each["by"]) for each in told] == [
        ("ann", "local"),
        ("ann", "local"),
        ("all keys", "local"),
    ]
    assert told[0]["fields"] == [
        {"name": "stored_bytes_max", "before": 5, "after": 7},
        {"name": "priority_max", "before": None, "after": 0},
    ]
    assert told[2]["fields"] == [{"name": "creates_per_minute_max", "before": 0, "after": 60}]
    assert len((await stage.ask("GET", "/v1/admin/changes?limit=1")).json["data"]) == 1


async def test_the_audit_turns_pages_from_its_end(stage: Stage):
    for number in range(3):
        await stage.ask("POST", "/v1/admin/owners/ann", json={"stored_bytes_max": number})
    first = (await stage.ask("GET", "/v1/admin/audit?order=desc&limit=2&action=owner")).json
    assert first["has_more"] and first["data"][0]["id"] > first["data"][1]["id"]
    path = f"/v1/admin/audit?order=desc&limit=2&action=owner&before={first['last_id']}"
    second = (await stage.ask("GET", path)).json
    assert len(second["data"]) == 1 and not second["has_more"]
    assert (await stage.ask("GET", "/v1/admin/audit?order=random")).status == 400


async def test_a_webhook_is_disabled_by_hand_and_told_so(stage: Stage):
    body = {"name": "pager", "url": "https://example.com/hook", "event_types": ["batch.failed"]}
    endpoint = (await stage.ask("POST", "/v1/webhook_endpoints", json=body)).json["id"]
    disabled = await stage.ask("POST", f"/v1/webhook_endpoints/{endpoint}/disable")
    assert (disabled.json["is_enabled"], disabled.json["disabled_reason"]) == (False, "its owner disabled it")
    assert (await stage.ask("POST", f"/v1/webhook_endpoints/{endpoint}/enable")).json["is_enabled"]
    attempts = await stage.ask("GET", f"/v1/webhook_endpoints/{endpoint}/deliveries/evt_1/attempts")
    assert (attempts.status, attempts.json["data"]) == (200, [])
    assert (await stage.ask("GET", "/v1/webhook_endpoints/we_none/deliveries/evt_1/attempts")).status == 404


async def test_a_support_bundle_holds_no_planted_secret_and_no_prompt(place: Place, journal: Journal):
    _plant(place.home)
    async with stage_set(place, journal, otlp_endpoint=f"http://user:{FOLDER_SECRET}@127.0.0.1:9") as stage:
        message = json.dumps({"role": "user", "content": PROMPT}).encode()
        line = LINE.replace(b'"messages":[]', b'"messages":[' + message + b"]")
        await stage.client.files.create(file=("secret names.jsonl", line), purpose="batch")
        await buried(stage, Message("evt.batch.b1.created", PROMPT.encode(), "bad", {"ce-type": "x"}), f"X: {PROMPT}")
        answer = await stage.ask("GET", "/v1/admin/support_bundle")
    assert answer.status == 200 and "vbatch-support-" in answer.headers["content-disposition"]
    files = _unzipped(answer.body)
    assert set(files) == {
        "README.txt", "versions.json", "services.json", "settings.json", "runners.json", "models.json", "events.json",
        "dead_letters.json", "logs.jsonl",
    }  # fmt: skip
    everything = "\n".join(files.values())
    for planted in (SECRET, FOLDER_SECRET, PROMPT, "grandmother", "secret names"):
        assert planted not in everything
    assert json.loads(files["events.json"])["newest_by_type"]["file.stored"] == 1
    assert "request_answered" in files["logs.jsonl"] and "batch_0123" in files["logs.jsonl"]
    assert "vbatch-gateway" in json.loads(files["versions.json"])["packages"]


def _plant(home: Path) -> None:
    """Secrets in the folder for secrets, in a log, and a prompt where a service should never write one."""
    (home / "secrets").mkdir(parents=True, exist_ok=True)
    (home / "secrets" / "token").write_text(FOLDER_SECRET + "\n")
    write(
        home / "logs",
        "gateway",
        {"time": "2030-01-01T00:00:01Z", "event": "request_answered", "batch_id": "batch_0123", "key": SECRET},
        {"time": "2030-01-01T00:00:02Z", "event": "trouble", "reason": f"ValueError: {PROMPT}", "model": SECRET},
        {"time": "2030-01-01T00:00:03Z", "event": PROMPT, "custom_id": "grandmother", "place": FOLDER_SECRET},
    )


def _unzipped(content: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}
