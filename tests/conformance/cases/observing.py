"""What the server tells beside OpenAI's routes: lines, failures, pace, the log, and how the server is."""

from __future__ import annotations

import json
import urllib.request

from tests.conformance.cases.server import CHAT, CHAT_ENDPOINT, JSON, Server, jsonl, request

STREAM_SECONDS_MAX = 10.0


def a_batch_is_told_line_by_line(server: Server) -> None:
    batch = server.create(jsonl(request("a"), request("b", simulate={"status": 400})))
    server.ended(batch.id)
    path = f"/v1/batches/{batch.id}"
    told = server.raw("GET", f"{path}/lines").json
    assert [(each["line"], each["custom_id"]) for each in told["data"]] == [(1, "a"), (2, "b")]
    assert server.raw("GET", f"{path}/lines/1").json["request"]["custom_id"] == "a"
    assert [each["count"] for each in server.raw("GET", f"{path}/faults").json["data"]] == [1]
    assert server.raw("GET", f"{path}/series").status == 200
    assert server.raw("GET", f"{path}/logs").status in (200, 404)  # 404 where the logs are kept elsewhere


def the_answers_of_a_batch_are_counted_and_taken_away(server: Server) -> None:
    batch = server.ended(server.create(jsonl(request("a"), request("b"))).id)
    path = f"/v1/batches/{batch.id}"
    assert server.raw("GET", f"{path}/facets").status == 200
    assert len(server.raw("GET", f"{path}/lines/export").body.splitlines()) == 2


def the_life_of_a_batch_is_told_and_another_priority_is_tried(server: Server) -> None:
    batch = server.create(jsonl(request("a")))
    assert server.raw("GET", f"/v1/batches/{batch.id}/what-if?priority=10").status in (200, 404)  # it may have ended
    server.ended(batch.id)
    timeline = server.raw("GET", f"/v1/batches/{batch.id}/timeline").json
    assert timeline["is_over"] and timeline["spans"]


def two_batches_are_compared(server: Server) -> None:
    ids = [server.create(jsonl(request("a"))).id for _ in range(2)]
    for each in ids:
        server.ended(each)
    asked = f"batches={','.join(ids)}"
    assert [each["batch_id"] for each in server.raw("GET", f"/v1/comparisons?{asked}").json["data"]] == ids
    assert len(server.raw("GET", f"/v1/comparisons/lines?{asked}").json["data"]) == 1
    assert server.raw("GET", f"/v1/comparisons/export?{asked}").status == 200


def what_was_used_is_told_by_day(server: Server) -> None:
    server.ended(server.create(jsonl(request("a"))).id)
    assert server.raw("GET", "/v1/usage").json["data"][0]["requests"]


def the_log_is_a_list_and_a_stream(server: Server) -> None:
    page = server.raw("GET", "/v1/events?limit=2").json
    assert page["object"] == "list" and len(page["data"]) == 2 and page["data"][0]["sentence"]
    with urllib.request.urlopen(f"{server.url}/v1/events/live", timeout=STREAM_SECONDS_MAX) as stream:
        first = next(line for line in stream if line.startswith(b"event:"))
    assert first.strip() == b"event: log.position"


def a_file_is_checked_without_a_batch(server: Server) -> None:
    file = server.upload(("in.jsonl", jsonl(request("a"))))
    body = json.dumps({"endpoint": CHAT_ENDPOINT}).encode()
    assert server.raw("POST", f"/v1/files/{file.id}/check", body, JSON).status == 200


def the_server_says_how_it_is(server: Server) -> None:
    assert server.raw("GET", "/v1/server").json["services"]
    assert server.raw("GET", "/v1/runners").json["data"]
    assert CHAT in json.dumps(server.raw("GET", "/v1/registry").json)
