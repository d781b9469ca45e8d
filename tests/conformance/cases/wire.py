"""What every answer has in common, and what the client sends that a server must survive."""

from __future__ import annotations

import re
from typing import Any

import openai

from tests.conformance.cases.server import CHAT, ENVELOPE, JSON, Server, refused

REQUEST_ID = re.compile(r"req_[0-9a-f]{32}")
ABSENT_BATCH = "batch_" + "0" * 32
ABSENT_UPLOAD = "upload_" + "0" * 32
ASKS = [
    ("GET", "/v1/models", 200),
    ("GET", "/v1/batches?limit=0", 400),
    ("GET", "/v1/files/file-x", 404),
    ("GET", "/v1/files/file-x/content", 404),
    ("GET", "/v1/nope", 404),
    ("PUT", "/v1/files", 405),
    ("HEAD", "/v1/models", 405),
    ("OPTIONS", "/v1/batches", 405),
    ("POST", f"/v1/batches/{ABSENT_BATCH}/cancel", 404),
    ("POST", f"/v1/uploads/{ABSENT_UPLOAD}/cancel", 404),
    ("DELETE", "/v1/files/file-x", 404),
    ("DELETE", f"/v1/models/{CHAT}", 403),
    ("GET", "/openapi.json", 200),
]
NO_BODIES: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"{no",
    "an array": b"[]",
    "a number that is none": b'{"a":NaN}',
    "no UTF-8": b'{"a":"\xff"}',
    "a lone surrogate": b'{"a":"\\ud800"}',
    "depth": b"[" * 100_000,
    "bulk": b'{"a":"' + b"x" * 2_000_000 + b'"}',
}


def every_answer_has_openais_headers(server: Server) -> None:
    for method, path, status in ASKS:
        answer = server.raw(method, path, headers=JSON)  # a client's DELETE and its empty POST name a type, too
        assert answer.status == status, (method, path, answer)
        headers = answer.headers
        assert REQUEST_ID.fullmatch(headers["x-request-id"]), (method, path)
        assert headers["openai-version"] == "2020-10-01" and int(headers["openai-processing-ms"]) >= 0
        assert headers["openai-organization"] and headers["openai-project"]
        assert headers["content-type"] == "application/json", (method, path)
        assert "location" not in headers


def every_error_has_the_one_envelope(server: Server) -> None:
    for method, path, status in ASKS:
        answer = server.raw(method, path)
        if status < 400 or method == "HEAD":
            continue
        assert set(answer.json["error"]) == ENVELOPE, (method, path)
        if path.startswith("/v1/files"):
            assert answer.json["detail"] == {key: answer.json["error"][key] for key in ("message", "code")}


def two_answers_have_two_ids(server: Server) -> None:
    models: list[Any] = [server.client.models.list() for _ in range(2)]
    assert len({each._request_id for each in models}) == 2


def a_slash_at_the_end_is_another_url_and_no_redirect(server: Server) -> None:
    for method, path in (("GET", "/v1/files/"), ("POST", "/v1/batches/"), ("GET", "/v1/batches/")):
        assert server.raw(method, path, b"" if method == "POST" else None).status == 404


def a_slash_in_an_id_parts_no_url(server: Server) -> None:
    words = "Invalid 'batch_id': 'a/b'. Expected an ID that begins with 'batch'."
    for method, path, status, param, message in (
        ("GET", "/v1/batches/a%2Fb", 400, "batch_id", words),
        ("POST", "/v1/batches/a%2Fb/cancel", 400, "batch_id", words),
        ("GET", "/v1/batches/batch_a%2Fb", 404, None, "No batch found with id 'batch_a/b'."),
        ("GET", "/v1/files/a%2Fb", 404, "id", "No such File object: a/b"),
        ("GET", "/v1/files/a%2fb/content", 404, "id", "No such File object: a/b"),
        ("DELETE", "/v1/files/a%2Fb", 404, "id", "No such File object: a/b"),
        ("POST", "/v1/uploads/a%2Fb/cancel", 404, "upload_id", "No such Upload object: a/b"),
        ("GET", "/v1/models/a%252Fb", 404, "model", "The model 'a%2Fb' does not exist"),
    ):
        answer = server.raw(method, path)
        error = answer.json["error"]
        assert (answer.status, error["param"], error["message"]) == (status, param, message), (method, path)


def what_is_no_json_object_is_refused(server: Server) -> None:
    for path in ("/v1/batches", "/v1/uploads", f"/v1/uploads/{ABSENT_UPLOAD}/complete"):
        for what, body in NO_BODIES.items():
            answer = server.raw("POST", path, body, JSON)
            assert (answer.status, answer.json["error"]["type"]) == (400, "invalid_request_error"), (path, what)


def a_body_is_read_whatever_its_type_says(server: Server) -> None:
    body = b'{"input_file_id":"file-x","endpoint":"/v1/chat/completions","completion_window":"24h"}'
    for headers in ({}, {"Content-Type": "text/plain"}, {"Content-Type": "application/json; charset=utf-8"}):
        assert server.raw("POST", "/v1/batches", body, headers).status == 200
    assert server.raw("POST", "/v1/files", b"{}", JSON).status == 400


def organizations_are_not_here(server: Server) -> None:
    for path in ("/organization/admin_api_keys", "/organization/projects"):
        with refused(openai.NotFoundError, code="unknown_url", message=f"Invalid URL (GET /v1{path})"):
            server.client.get(path, cast_to=object)


def headers_of_a_client_are_no_trouble(server: Server) -> None:
    client = server.client.with_options(
        default_headers={
            "OpenAI-Organization": "org-x",
            "OpenAI-Project": "proj_x",
            "OpenAI-Beta": "x",
            "x-custom": "1",
        }
    )
    assert client.with_raw_response.models.list().headers["content-type"] == "application/json"
