"""Files: every form a client sends, every key of an answer, every refusal."""

from __future__ import annotations

import io
from typing import Any

import openai

from tests.conformance.cases.server import Raw, Server, refused, requests

FILE_KEYS = ["object", "id", "purpose", "filename", "bytes", "created_at", "expires_at", "status", "status_details"]
MONTH_SECONDS = 2_592_000
ANCHOR, SECONDS = "expires_after[anchor]", "expires_after[seconds]"
NO_JSONL = "Invalid file format for Batch API. Must be .jsonl"
PURPOSES = "['fine-tune', 'assistants', 'batch', 'user_data', 'vision', 'evals']"
NAMES = {
    'filename="in.jsonl"': "in.jsonl",
    "filename=in.jsonl; filename*=utf-8''gr%C3%B6%C3%9Fe.jsonl": "größe.jsonl",
    "filename*=utf-8''gr%C3%B6%C3%9Fe.jsonl": "größe.jsonl",
    'filename="a%22b.jsonl"': 'a"b.jsonl',
    'filename="../../etc/in.jsonl"': "in.jsonl",
    'filename="test-batch-file"': "test-batch-file",
    'filename=""': "upload",
}
REFUSED_EXPIRIES = [
    ({ANCHOR: "created_at", SECONDS: "3599"}, SECONDS, "integer_below_min_value"),
    ({ANCHOR: "created_at", SECONDS: "2592001"}, SECONDS, "integer_above_max_value"),
    ({ANCHOR: "created_at", SECONDS: "soon"}, SECONDS, "invalid_type"),
    ({ANCHOR: "last_active_at", SECONDS: "3600"}, ANCHOR, "invalid_value"),
    ({ANCHOR: "created_at"}, SECONDS, "missing_required_parameter"),
    ({SECONDS: "3600"}, ANCHOR, "missing_required_parameter"),
]
RANGES = [
    ("bytes=0-3", 206, "bytes 0-3/10", b"0123"),
    ("bytes=7-", 206, "bytes 7-9/10", b"789"),
    ("bytes=-2", 206, "bytes 8-9/10", b"89"),
    ("bytes=0-99", 206, "bytes 0-9/10", b"0123456789"),
    ("bytes=0-1,3-4", 200, None, b"0123456789"),
    ("lines=0-1", 200, None, b"0123456789"),
]


def a_file_comes_in_every_form_a_client_sends(server: Server) -> None:
    path = server.folder / "größe in.jsonl"
    path.write_bytes(requests(1))
    forms = {"bytes": requests(1), "BytesIO": io.BytesIO(requests(1)), "Path": path, "tuple": ("x", requests(1))}
    names = {form: server.upload(content).filename for form, content in forms.items()}
    assert names == {"bytes": "upload", "BytesIO": "upload", "Path": path.name, "tuple": "x"}, names
    with path.open("rb") as opened:
        assert server.upload(opened).filename == path.name


def the_parts_of_a_form_may_come_in_any_order_and_names_in_any_spelling(server: Server) -> None:
    for spelling, name in NAMES.items():
        for is_file_first in (True, False):
            answer = _form(server, {"purpose": "batch"}, spelling=spelling, is_file_first=is_file_first)
            assert (answer.status, answer.json["filename"]) == (200, name), (spelling, answer)


def a_file_has_openais_keys_in_openais_order(server: Server) -> None:
    made = server.upload(requests(1))
    raw = server.raw("GET", f"/v1/files/{made.id}").json
    assert list(raw) == FILE_KEYS, list(raw)
    assert (made.status, made.purpose, made.bytes) == ("processed", "batch", len(requests(1)))
    assert (made.id[:5], len(made.id), raw["status_details"]) == ("file-", 27, None)
    assert made.expires_at == made.created_at + MONTH_SECONDS
    assert server.client.files.wait_for_processing(made.id).id == made.id
    assert server.upload(b"x", "user_data").expires_at is None


def an_expiry_is_kept_within_its_bounds(server: Server) -> None:
    for seconds in (3_600, MONTH_SECONDS):
        made = server.upload(requests(1), expires_after={"anchor": "created_at", "seconds": seconds})
        assert made.expires_at == made.created_at + seconds
    for fields, param, code in REFUSED_EXPIRIES:
        answer = _form(server, {"purpose": "batch", **fields})
        assert answer.status == 400
        assert (answer.json["error"]["param"], answer.json["error"]["code"]) == (param, code), answer


def each_purpose_of_openais_is_taken(server: Server) -> None:
    for purpose in ("fine-tune", "assistants", "vision", "user_data"):
        assert server.upload(b"any bytes", purpose).purpose == purpose
    evals = _form(server, {"purpose": "evals"}).json  # which the client may upload, but has no answer's type for
    assert evals["purpose"] == "evals"
    assert server.raw("DELETE", f"/v1/files/{evals['id']}").status == 200
    words = f"'world_domination' is not one of {PURPOSES} - 'purpose'"
    with refused(openai.BadRequestError, param="purpose", code=None, message=words):
        server.upload(b"x", "world_domination")


def a_batch_file_is_judged_by_its_content(server: Server) -> None:
    for content in (b"", b"\n\n", b"hello", b"[]", b"123"):
        with refused(openai.BadRequestError, param=None, code=None, message=NO_JSONL):
            server.upload(("in.jsonl", content))
    told = f"{NO_JSONL}. This file is a ZIP archive: unpack it and upload the .jsonl file."
    with refused(openai.BadRequestError, param=None, code=None, message=told):
        server.upload(("in.jsonl", b"PK\x03\x04"))
    for content in (b"\xef\xbb\xbf{}", b"\r\n{}"):
        assert server.upload(("in.txt", content)).status == "processed"


def a_form_without_a_part_is_told_which(server: Server) -> None:
    for fields, has_file, param in (({}, True, "purpose"), ({"purpose": "batch"}, False, "file")):
        error = _form(server, fields, has_file=has_file).json["error"]
        assert (error["param"], error["code"]) == (param, "missing_required_parameter")
    error = _form(server, {"purpose": "batch", "speed": "1"}).json["error"]
    assert (error["param"], error["code"]) == ("speed", "unknown_parameter")


def a_files_content_comes_back_to_the_byte(server: Server) -> None:
    made = server.upload(("in.jsonl", requests(3)))
    answer = server.client.files.content(made.id)
    assert answer.content == requests(3)
    assert answer.response.headers["content-type"] == "application/octet-stream"
    assert answer.response.headers["content-disposition"] == 'attachment; filename="in.jsonl"'
    streamed = server.folder / "streamed"
    answer.write_to_file(streamed)
    assert streamed.read_bytes() == requests(3)
    assert server.client.files.retrieve_content(made.id) == requests(3).decode()
    with server.client.files.with_streaming_response.content(made.id) as streaming:
        assert b"".join(streaming.iter_bytes()) == requests(3)


def a_part_of_a_file_can_be_asked_for(server: Server) -> None:
    path = f"/v1/files/{server.upload(b'0123456789', 'fine-tune').id}/content"
    for asked, status, told, content in RANGES:
        answer = server.raw("GET", path, headers={"Range": asked})
        assert (answer.status, answer.headers.get("content-range"), answer.body) == (status, told, content)
    beyond = server.raw("GET", path, headers={"Range": "bytes=10-"})
    assert (beyond.status, beyond.headers["content-range"]) == (416, "bytes */10")


def some_purposes_are_not_for_download(server: Server) -> None:
    for purpose in ("user_data", "assistants", "vision"):
        made = server.upload(b"x", purpose)
        with refused(
            openai.BadRequestError, param=None, message=f"Not allowed to download files of purpose: {purpose}"
        ):
            server.client.files.content(made.id)


def a_deleted_file_is_gone(server: Server) -> None:
    made = server.upload(requests(1))
    deleted = server.raw("DELETE", f"/v1/files/{made.id}", headers={"Content-Type": "application/json"})
    assert deleted.json == {"object": "file", "deleted": True, "id": made.id}
    for ask in (server.client.files.delete, server.client.files.retrieve, server.client.files.content):
        with refused(openai.NotFoundError, param="id", code=None, message=f"No such File object: {made.id}"):
            ask(made.id)
    assert made.id not in [file.id for file in server.client.files.list()]


def a_file_is_deleted_by_the_client(server: Server) -> None:
    deleted: Any = server.client.files.delete(server.upload(requests(1)).id)
    assert (deleted.deleted, deleted.object) == (True, "file")


def _form(
    server: Server,
    fields: dict[str, str],
    *,
    spelling: str = 'filename="in.jsonl"',
    is_file_first: bool = False,
    has_file: bool = True,
) -> Raw:
    parts = [_part(f'name="{name}"', value.encode()) for name, value in fields.items()]
    if has_file:
        parts.insert(0 if is_file_first else len(parts), _part(f'name="file"; {spelling}', requests(1)))
    body = b"".join(parts) + b"--x--\r\n"
    return server.raw("POST", "/v1/files", body, {"Content-Type": "multipart/form-data; boundary=x"})


def _part(disposition: str, content: bytes) -> bytes:
    head = f"--x\r\nContent-Disposition: form-data; {disposition}\r\n\r\n"
    return head.encode() + content + b"\r\n"
