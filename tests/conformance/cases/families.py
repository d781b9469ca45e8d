"""What this server has beyond OpenAI: requests in the body, requests that run again, files for several models."""

from __future__ import annotations

import json
from typing import Any

import openai

from tests.conformance.cases.server import CHAT, CHAT_ENDPOINT, Server, jsonl, refused, request

ABSENT = "0" * 32


def _lines(server: Server, path: str) -> list[Any]:
    answer = server.raw("GET", path)
    assert answer.status == 200 and answer.headers["x-incomplete"] == "false", answer
    return [json.loads(line) for line in answer.body.splitlines()]


def requests_come_in_the_body(server: Server) -> None:
    asked = [request("a"), request("b")]
    ask = {"endpoint": CHAT_ENDPOINT, "completion_window": "24h", "requests": asked}
    answer = server.raw("POST", "/v1/batches", json.dumps(ask).encode())
    batch = server.ended(answer.json["id"])
    assert batch.status == "completed"
    assert [line["custom_id"] for line in server.lines_of(batch.output_file_id)] == ["a", "b"]
    assert server.client.files.retrieve(batch.input_file_id).purpose == "batch"


def a_file_and_requests_exclude_each_other(server: Server) -> None:
    with refused(openai.BadRequestError, code="mutually_exclusive_parameters", param="requests"):
        server.create_on("file-x", extra_body={"requests": [request()]})


def failed_requests_run_again_and_the_answers_are_one_list(server: Server) -> None:
    old = server.ended(server.create(jsonl(request("a"), request("b", simulate={"status": 400}), request("c"))).id)
    assert (old.request_counts.completed, old.request_counts.failed) == (2, 1)
    told = server.client.post(f"/batches/{old.id}/retry", cast_to=object, body={"select": ["failed"]})
    assert told["retry_of"] == old.id
    new = server.ended(told["id"])
    assert new.request_counts.total == 1
    merged = _lines(server, f"/v1/batches/{new.id}/results?merged=true")
    assert [line["custom_id"] for line in merged] == ["a", "b", "c"]
    family = server.raw("GET", f"/v1/batches/{new.id}/family").json["data"]
    assert [batch["id"] for batch in family] == [old.id, new.id]


def a_batch_without_a_failed_request_has_nothing_to_retry(server: Server) -> None:
    batch = server.ended(server.create(jsonl(request())).id)
    with refused(openai.BadRequestError, code="invalid_value", param="select"):
        server.client.post(f"/batches/{batch.id}/retry", cast_to=object)
    with refused(openai.NotFoundError):
        server.client.post(f"/batches/batch_{ABSENT}/retry", cast_to=object)


def a_file_runs_on_several_models(server: Server) -> None:
    first = server.create(jsonl(request("a"), request("b")), extra_body={"models": [CHAT]})
    fanout = server.raw("GET", f"/v1/fanouts/{first.fanout_id}").json
    assert (fanout["models"], [batch["id"] for batch in fanout["batches"]]) == ([CHAT], [first.id])
    assert server.ended(first.id).status == "completed"
    answers = _lines(server, f"/v1/fanouts/{first.fanout_id}/results")
    assert [(line["custom_id"], list(line["answers"])) for line in answers] == [("a", [CHAT]), ("b", [CHAT])]


def a_model_that_is_not_here_is_refused_at_once(server: Server) -> None:
    with refused(openai.NotFoundError, code="model_not_found", param="models"):
        server.create_on("file-x", extra_body={"models": [CHAT, "absent"]})


def a_fanout_that_is_not_here_is_not_found(server: Server) -> None:
    for path in (f"/v1/fanouts/fanout_{ABSENT}", f"/v1/fanouts/fanout_{ABSENT}/results"):
        assert server.raw("GET", path).status == 404


def a_batch_has_a_manifest(server: Server) -> None:
    batch = server.ended(server.create(jsonl(request())).id)
    manifest = server.raw("GET", f"/v1/batches/{batch.id}/manifest").json
    assert (manifest["object"], manifest["batch_id"], manifest["is_final"]) == ("batch.manifest", batch.id, True)
    assert [engine["model"] for engine in manifest["engines"]] == [CHAT]
    assert manifest["output_file"]["id"] == batch.output_file_id and len(manifest["output_file"]["sha256"]) == 64
    assert server.raw("GET", f"/v1/batches/batch_{ABSENT}/manifest").status == 404
