"""Input files that are not fit: the batch is created, then it fails and names every line."""

from __future__ import annotations

import json
from typing import Any

from tests.conformance.cases.server import CHAT, CHAT_ENDPOINT, Server, jsonl, request

Fault = tuple[str, "int | None", "str | None", str]

DUPLICATE = (
    "The custom_id for this request is a duplicate of another request. "
    "The custom_id parameter must be unique for each request in a batch."
)
NOT_JSON = "This line is not parseable as valid JSON."
WRONG_URL = "The URL provided for this request does not match the batch endpoint."
UNKNOWN_MODEL = "The provided model 'gpt-4o' is not supported by the Batch API."
OTHER_MODEL = (
    "The model 'org/model:v1' for this request does not match the rest of the batch. "
    "Each batch must contain requests for a single model."
)
STREAMING = "Chat Completions: Streaming is not supported in the Batch API."


def _without(name: str) -> bytes:
    return jsonl({key: value for key, value in request().items() if key != name})


def _body(**body: object) -> bytes:
    return jsonl({**request(), "body": body})


def _missing(name: str) -> Fault:
    return ("missing_required_parameter", 1, name, f"Missing required parameter: '{name}'.")


CHAT_FILES: list[tuple[bytes, list[Fault]]] = [
    (b"{no\n", [("invalid_json_line", 1, None, NOT_JSON)]),
    (jsonl(request()).replace(b'"POST"', b"NaN"), [("invalid_json_line", 1, None, NOT_JSON)]),
    (jsonl(request()).replace(b"user", b"\xff"), [("invalid_json_line", 1, None, NOT_JSON)]),
    (jsonl(request()) + b"[]\n", [("invalid_json_line", 2, None, NOT_JSON)]),
    (jsonl(request()) + b'"custom_id": "b",\n', [("invalid_json_line", 2, None, NOT_JSON)]),
    *((_without(name), [_missing(name)]) for name in ("custom_id", "method", "url", "body")),
    (jsonl(request("")), [_missing("custom_id")]),
    (jsonl({**request(), "method": "GET"}), [("invalid_method", 1, "method", "")]),
    (jsonl({**request(), "url": "/v1/embeddings"}), [("invalid_url", 1, "url", WRONG_URL)]),
    (_body(messages=[]), [("invalid_request", 1, "body.model", "Model parameter is required.")]),
    (_body(model=CHAT), [("invalid_request", 1, "body.messages", "Messages parameter is required.")]),
    (_body(model=CHAT, messages=None), [("invalid_request", 1, "body.messages", "Messages parameter is required.")]),
    (jsonl(request(model="gpt-4o")), [("model_not_found", 1, "body.model", UNKNOWN_MODEL)]),
    (jsonl(request(stream=True)), [("streaming_unsupported", 1, "body.stream", STREAMING)]),
    (jsonl(request("a"), request("b", model="org/model:v1")), [("mismatched_model", 2, "body.model", OTHER_MODEL)]),
    (jsonl(*[request()] * 3), [("duplicate_custom_id", line, "custom_id", DUPLICATE) for line in (2, 3)]),
    (
        jsonl({**request(), "url": "x"}, request()),
        [("invalid_url", 1, "url", WRONG_URL), ("duplicate_custom_id", 2, "custom_id", DUPLICATE)],
    ),
    (
        b"{no\n\n" + jsonl(request(), request(), {**request("b"), "url": "x"}),
        [
            ("invalid_json_line", 1, None, NOT_JSON),
            ("duplicate_custom_id", 4, "custom_id", DUPLICATE),
            ("invalid_url", 5, "url", WRONG_URL),
        ],
    ),
]
OTHER_FILES: list[tuple[str, dict[str, Any], str]] = [
    ("/v1/completions", {}, "body.prompt"),
    ("/v1/embeddings", {"input": None}, "body.input"),
    ("/v1/responses", {"instructions": "be kind"}, "body.input"),
    ("/v1/score", {"text_1": "a"}, "body.text_2"),
    ("/v1/rerank", {"documents": ["a"]}, "body.query"),
]


def every_fault_of_a_file_is_told_with_its_line(server: Server) -> None:
    made = [server.create(content).id for content, _ in CHAT_FILES]
    for batch_id, (content, expected) in zip(made, CHAT_FILES, strict=True):
        assert _faults_of(server, batch_id, expected) == expected, content


def each_endpoint_has_fields_it_cannot_do_without(server: Server) -> None:
    lines = [(url, {**request(url=url), "body": {"model": CHAT, **body}}) for url, body, _ in OTHER_FILES]
    made = [server.create(jsonl(line), endpoint=url).id for url, line in lines]
    for batch_id, (url, _, param) in zip(made, OTHER_FILES, strict=True):
        [fault] = server.ended(batch_id).errors.data
        assert (fault.code, fault.line, fault.param) == ("invalid_request", 1, param), url


def a_file_that_cannot_be_had_fails_the_batch_later(server: Server) -> None:
    deleted = server.upload(jsonl(request())).id
    server.client.files.delete(deleted)
    other_purpose = server.upload(jsonl(request()), "user_data").id
    for file_id in ("file-x", "file-" + "0" * 22, deleted, other_purpose):
        [fault] = server.ended(server.create_on(file_id).id).errors.data
        assert (fault.code, fault.line, fault.param) == ("invalid_request", None, "file_id")
        assert fault.message.startswith(f"Cannot find file {file_id}, or organization ")


def a_failed_batch_has_nothing_but_its_errors(server: Server) -> None:
    batch_id = server.ended(server.create(b"{no\n").id).id
    raw = server.raw("GET", f"/v1/batches/{batch_id}").json
    assert raw["errors"]["object"] == "list" and list(raw["errors"]["data"][0]) == ["code", "line", "message", "param"]
    stamps = {key for key, value in raw.items() if key.endswith("_at") and value is not None}
    assert stamps == {"created_at", "expires_at", "failed_at"}
    assert (raw["model"], raw["output_file_id"], raw["error_file_id"]) == (None, None, None)
    assert raw["request_counts"] == {"total": 0, "completed": 0, "failed": 0}


def what_is_odd_but_fit_runs(server: Server) -> None:
    odd = [
        b"\xef\xbb\xbf" + jsonl(request("a")).replace(b"\n", b"\r\n") + b"\r\n\n" + jsonl(request("b"))[:-1],
        json.dumps(request("a\u2028b\u0085c"), ensure_ascii=False).encode() + b"\n" + jsonl(request("b")),
        jsonl(request("a", seed=10**300, stream=False, stream_options=None), {**request("b"), "extra": [1]}),
        jsonl(request("a"), request("b")).replace(b'"method"', b'"method": "GET", "method"'),
    ]
    for batch_id in [server.create(content, endpoint=CHAT_ENDPOINT).id for content in odd]:
        done = server.ended(batch_id)
        assert (done.status, done.request_counts.completed) == ("completed", 2), done
        assert {line["response"]["status_code"] for line in server.lines_of(done.output_file_id)} == {200}


def _faults_of(server: Server, batch_id: str, expected: list[Fault]) -> list[Fault]:
    batch = server.ended(batch_id)
    assert batch.status == "failed", batch
    wordless = {line for _, line, _, words in expected if not words}
    return [
        (item.code, item.line, item.param, "" if item.line in wordless else _openais(item.message))
        for item in batch.errors.data
    ]


def _openais(message: str) -> str:
    """Behind OpenAI's sentence on a line that is no JSON stands where the fault is."""
    return NOT_JSON if message.startswith(f"{NOT_JSON} ") else message
