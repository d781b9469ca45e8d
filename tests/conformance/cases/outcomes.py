"""What comes out: answers in each endpoint's own shape, errors where they belong, lines that any reader can split."""

from __future__ import annotations

import json
import re
import urllib.request
from typing import Any

from tests.conformance.cases.server import CHAT, SLOW, Server, jsonl, request, requests

LINE_KEYS = ["id", "custom_id", "response", "error"]
RESPONSE_KEYS = ["status_code", "request_id", "body"]
LINE_ID, REQUEST_ID = re.compile(r"batch_req_[0-9a-f]{32}"), re.compile(r"[0-9a-f]{32}")
MONTH_SECONDS = 2_592_000
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
RICH: dict[str, Any] = {
    "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}, IMAGE]}],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}},
    "logprobs": True,
    "n": 2,
}
ENDPOINTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "/v1/responses": ({"input": "hi", "instructions": "be kind"}, "response", "output"),
    "/v1/completions": ({"prompt": ["hi"]}, "text_completion", "choices"),
    "/v1/embeddings": ({"input": ["hi", "there"], "encoding_format": "base64"}, "list", "data"),
    "/v1/chat/completions": (RICH, "chat.completion", "choices"),
    "/v1/score": ({"queries": "hi", "documents": ["there", "you"]}, "list", "data"),
    "/v1/rerank": ({"query": "hi", "documents": ["there", "you"]}, "list", "results"),
}


def a_batch_runs_to_its_end(server: Server) -> None:
    done = server.ended(server.create(requests(20), metadata={"project": "conformance"}).id)
    assert (done.status, done.error_file_id, done.errors) == ("completed", None, None)
    counts = done.request_counts
    assert (counts.completed, counts.failed, counts.total) == (20, 0, 20)
    assert done.metadata == {"project": "conformance"}
    lines = server.lines_of(done.output_file_id)
    assert sorted(line["custom_id"] for line in lines) == sorted(f"request-{n}" for n in range(20))
    assert len({line["id"] for line in lines}) == 20


def an_output_line_has_openais_keys(server: Server) -> None:
    done = server.ended(server.create(requests(1)).id)
    [line] = server.lines_of(done.output_file_id)
    assert list(line) == LINE_KEYS and list(line["response"]) == RESPONSE_KEYS
    assert LINE_ID.fullmatch(line["id"]) and REQUEST_ID.fullmatch(line["response"]["request_id"])
    assert line["response"]["status_code"] == 200 and line["error"] is None
    assert isinstance(line["response"]["body"], dict)


def an_output_file_is_a_file(server: Server) -> None:
    plain = server.ended(server.create(requests(1)).id)
    file = server.client.files.retrieve(plain.output_file_id)
    assert (file.purpose, file.filename) == ("batch_output", f"{plain.id}_output.jsonl")
    assert file.expires_at == file.created_at + MONTH_SECONDS
    rule = {"anchor": "created_at", "seconds": 3_600}
    short = server.ended(server.create(requests(1, simulate={"status": 400}), output_expires_after=rule).id)
    file = server.client.files.retrieve(short.error_file_id)
    assert (file.purpose, file.filename) == ("batch_output", f"{short.id}_error.jsonl")
    assert file.expires_at == file.created_at + 3_600
    assert file.id in [file.id for file in server.client.files.list(purpose="batch_output")]


def usage_is_the_sum_of_all_answers(server: Server) -> None:
    done = server.ended(server.create(requests(5)).id)
    raw = server.raw("GET", f"/v1/batches/{done.id}").json
    told = [line["response"]["body"]["usage"] for line in server.lines_of(done.output_file_id)]
    assert raw["usage"]["input_tokens"] == sum(each["prompt_tokens"] for each in told) > 0
    assert raw["usage"]["output_tokens"] == sum(each["completion_tokens"] for each in told) > 0
    assert raw["usage"]["total_tokens"] == raw["usage"]["input_tokens"] + raw["usage"]["output_tokens"]
    assert raw["model"] == CHAT


def each_endpoint_answers_in_its_own_shape(server: Server) -> None:
    made = {}
    for endpoint, (body, _, _) in ENDPOINTS.items():
        line = {"custom_id": "a", "method": "POST", "url": endpoint, "body": {"model": CHAT, **body}}
        made[endpoint] = server.create(jsonl(line), endpoint=endpoint).id
    for endpoint, (_, kind, field) in ENDPOINTS.items():
        done = server.ended(made[endpoint])
        assert (done.status, done.endpoint, done.error_file_id) == ("completed", endpoint, None), done
        [line] = server.lines_of(done.output_file_id)
        assert line["response"]["body"]["object"] == kind and line["response"]["body"][field]
        assert server.raw("GET", f"/v1/batches/{done.id}").json["usage"]["input_tokens"] > 0


def a_request_that_fails_stands_in_the_error_file_with_the_engines_answer(server: Server) -> None:
    asks = [request(str(status), simulate={"status": status}) for status in (400, 404, 422)] + [request("good")]
    done = server.ended(server.create(jsonl(*asks)).id)
    counts = done.request_counts
    assert (done.status, counts.total, counts.completed, counts.failed) == ("completed", 4, 1, 3)
    for line in server.lines_of(done.error_file_id):
        assert list(line) == LINE_KEYS and line["error"] is None
        assert line["response"]["status_code"] == int(line["custom_id"])
        assert "message" in line["response"]["body"]["error"]
    assert [line["custom_id"] for line in server.lines_of(done.output_file_id)] == ["good"]


def a_batch_whose_every_request_fails_is_completed_still(server: Server) -> None:
    done = server.ended(server.create(requests(2, simulate={"status": 400})).id)
    assert (done.status, done.output_file_id, done.request_counts.failed) == ("completed", None, 2)


def what_is_no_answer_is_an_error_without_response(server: Server) -> None:
    done = server.ended(server.create(requests(1, simulate={"not_json": True})).id)
    [line] = server.lines_of(done.error_file_id)
    assert line["response"] is None and list(line["error"]) == ["code", "message"]


def what_may_not_fail_again_is_asked_again(server: Server) -> None:
    asks = [request(str(status), simulate={"busy_count": 1, "busy_status": status}) for status in (429, 500, 503)]
    done = server.ended(server.create(jsonl(*asks)).id)
    assert (done.request_counts.completed, done.error_file_id) == (3, None)


def every_reader_finds_the_same_lines(server: Server) -> None:
    seps = "a\u2028b\u2029c\u0085d"
    asks = [request(f"{seps}{n}", messages=[{"role": "user", "content": seps}]) for n in range(3)]
    content = b"\n".join(json.dumps(ask, ensure_ascii=False).encode() for ask in asks)
    answer = server.client.files.content(server.ended(server.create(content).id).output_file_id)
    assert answer.content.endswith(b"\n") and answer.content.count(b"\n") == 3
    assert len(answer.text.splitlines()) == len(list(answer.iter_lines())) == 3
    assert {json.loads(line)["custom_id"] for line in answer.iter_lines()} == {f"{seps}{n}" for n in range(3)}


def answers_are_followed_while_the_batch_runs(server: Server) -> None:
    batch = server.create(requests(30, model=SLOW))
    with urllib.request.urlopen(f"{server.url}/v1/batches/{batch.id}/results?follow=true") as answer:
        found = [json.loads(line)["custom_id"] for line in answer]
    assert sorted(found) == sorted(f"request-{n}" for n in range(30))
    with urllib.request.urlopen(f"{server.url}/v1/batches/{batch.id}/events") as events:
        assert b"event: batch.completed" in events.read()
