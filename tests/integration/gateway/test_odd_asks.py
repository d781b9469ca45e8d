"""Asks that no client of ours sends, and some do: each is answered in the envelope, and nobody else is harmed."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable

import aiohttp
import pytest
from backports import zstd
from openai import BadRequestError

from tests.integration.gateway.stage import CHAT, LINE, Stage

pytestmark = pytest.mark.integration

FORM = "multipart/form-data; boundary=b"
PURPOSE = b'--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\n'
FILE = b'--b\r\ncontent-disposition: form-data; name="file"; filename="x"\r\n\r\n'
MALFORMED_FORMS = {
    "another type": ("application/json", b"{}"),
    "no boundary": ("multipart/form-data", b"x"),
    "a boundary too long": ("multipart/form-data; boundary=" + "b" * 300, b"x"),
    "nothing": (FORM, b""),
    "no parts": (FORM, b"no boundary here"),
    "no file": (FORM, PURPOSE + b"batch\r\n--b--\r\n"),
    "two files": (FORM, PURPOSE + b"batch\r\n" + FILE + b"{}\r\n" + FILE + b"{}\r\n--b--\r\n"),
    "no end": (FORM, PURPOSE + b"batch\r\n" + FILE + LINE),
    "a bad header": (FORM, b"--b\r\nnonsense\r\n\r\n{}\r\n--b--\r\n"),
    "a field too long": (FORM, PURPOSE + b"x" * 100_000 + b"\r\n--b--\r\n"),
}
UNREADABLE_BODIES = {
    "nothing": b"",
    "half an object": b"{",
    "no UTF-8": b"\xff\xfe",
    "half a character": b'{"a":"\\ud800"}',
    "too deep": b"[" * 100_000,
    "a list": b"[]",
    "too much": b'"' + b"x" * 5_000_000 + b'"',
}
ODD_PATHS = (
    "/v1/files/a%00b",
    "/v1/files/%ff%fe",
    "/v1/files/a%00b/content",
    "/v1/batches/batch_%00",
    "/v1/batches/batch_%ff/results",
    "/v1/models/a%00b",
    "/v1/models/",
    "/v1/batches/",
)
ODD_CURSORS = ("after=a%00b", "after=file-nope", "after=batch_nope", "after=", "after=%ff")


async def test_a_malformed_form_is_refused_and_nothing_is_kept(stage: Stage):
    before = stage.stored_blobs()
    answers = {
        why: await stage.ask("POST", "/v1/files", data=body, headers={"Content-Type": content_type})
        for why, (content_type, body) in MALFORMED_FORMS.items()
    }

    assert {why: answer.status for why, answer in answers.items()} == dict.fromkeys(MALFORMED_FORMS, 400)
    assert all(answer.error["message"] for answer in answers.values())
    assert stage.stored_blobs() == before


async def test_a_body_that_is_no_json_object_is_refused(stage: Stage):
    json = {"Content-Type": "application/json"}
    answers = {
        why: await stage.ask("POST", "/v1/batches", data=io.BytesIO(body), headers=json)
        for why, body in UNREADABLE_BODIES.items()
    }

    assert {why: answer.status for why, answer in answers.items()} == dict.fromkeys(UNREADABLE_BODIES, 400)
    assert all(answer.error["message"] for answer in answers.values())


@pytest.mark.parametrize("path", ODD_PATHS)
async def test_an_odd_name_is_not_found(stage: Stage, path: str):
    answer = await stage.ask("GET", path)

    assert answer.status == 404
    assert answer.error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("method", "path", "status", "param"),
    [
        ("GET", "/v1/batches/a%2Fb", 400, "batch_id"),
        ("POST", "/v1/batches/a%2Fb/cancel", 400, "batch_id"),
        ("GET", "/v1/batches/batch_a%2Fb/results", 404, None),
        ("GET", "/v1/files/a%2Fb/content", 404, "id"),
        ("POST", "/v1/uploads/a%2Fb/cancel", 404, "upload_id"),
        ("GET", "/v1/models/org%252Fmodel:v1", 404, "model"),
    ],
)
async def test_a_slash_in_a_name_parts_no_url(stage: Stage, method: str, path: str, status: int, param: str | None):
    answer = await stage.ask(method, path)

    assert (answer.status, answer.error["param"]) == (status, param)


async def test_an_odd_cursor_ends_a_list(stage: Stage):
    for path in ("/v1/files", "/v1/batches"):
        for cursor in ODD_CURSORS:
            answer = await stage.ask("GET", f"{path}?{cursor}&limit=3")
            assert (answer.status, answer.json["has_more"]) == (200, False)


async def test_files_can_be_deleted_while_they_are_listed_in_pages(stage: Stage):
    made = {(await stage.client.files.create(file=b"x", purpose="user_data")).id for _ in range(5)}
    deleted = {(await stage.client.files.delete(file.id)).id async for file in stage.client.files.list(limit=2)}

    assert deleted == made


async def test_metadata_may_hold_any_text(stage: Stage):
    odd = {"nul\0": "\0", "emoji \U0001f600": "\u2028", 'quote"': "back\\slash"}
    batch = await stage.client.batches.create(
        input_file_id="file-x", endpoint=CHAT, completion_window="24h", metadata=odd
    )

    assert (await stage.client.batches.retrieve(batch.id)).metadata == odd


async def test_an_odd_input_file_id_harms_nobody(stage: Stage):
    ask = {"endpoint": CHAT, "completion_window": "24h"}
    for file_id in ("\0", "a" * 10_000, "\n", "\u2028", " "):
        answer = await stage.ask("POST", "/v1/batches", json=ask | {"input_file_id": file_id})
        assert answer.status in (200, 400)

    after = await stage.client.batches.create(input_file_id="file-x", endpoint=CHAT, completion_window="24h")
    assert (await stage.client.batches.retrieve(after.id)).id == after.id  # results goes on


async def test_an_odd_last_event_id_is_refused(stage: Stage):
    batch = await stage.client.batches.create(input_file_id="file-x", endpoint=CHAT, completion_window="24h")
    for sequence in ("x", "1.5", "9" * 30):
        headers = {"Last-Event-ID": sequence}
        answer = await stage.ask("GET", f"/v1/batches/{batch.id}/events", headers=headers)
        assert (answer.status, answer.error["param"]) == (400, "Last-Event-ID")


async def test_a_subscriber_that_leaves_gives_its_place_back(stage: Stage):
    batch = await stage.client.batches.create(input_file_id="file-x", endpoint=CHAT, completion_window="24h")
    for _ in range(3):
        async with stage.following(batch.id) as stream:
            assert await stream.readline()
            assert stage.streams.open_count >= 1
    await _eventually_none_open(stage)


async def _eventually_none_open(stage: Stage) -> None:
    async with aiohttp.ClientSession() as session:  # its own connections: none of them is an old stream
        while stage.streams.open_count:
            async with session.get(f"{stage.origin}/health"):
                pass


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("zstd", zstd.compress)])
async def test_compressed_bodies_are_taken_as_forms_and_as_json(
    stage: Stage, encoding: str, pack: Callable[[bytes], bytes]
):
    form = PURPOSE + b"batch\r\n" + FILE + LINE * 1000 + b"\r\n--b--\r\n"
    headers = {"Content-Encoding": encoding, "Content-Type": FORM}
    file = await stage.ask("POST", "/v1/files", data=pack(form), headers=headers)
    assert (file.status, file.json["bytes"]) == (200, 1000 * len(LINE))
    content = await stage.ask("GET", f"/v1/files/{file.json['id']}/content")
    assert content.body == LINE * 1000
    ask = {"input_file_id": file.json["id"], "endpoint": CHAT, "completion_window": "24h"}
    headers = {"Content-Encoding": encoding, "Content-Type": "application/json"}
    batch = await stage.ask("POST", "/v1/batches", data=pack(json.dumps(ask).encode()), headers=headers)
    assert (batch.status, batch.json["input_file_id"]) == (200, file.json["id"])


async def test_a_body_that_unpacks_to_more_than_a_body_may_have_is_refused(stage: Stage):
    bomb = gzip.compress(b" " * 2_000_000)
    answer = await stage.ask("POST", "/v1/batches", data=bomb, headers={"Content-Encoding": "gzip"})
    assert (answer.status, answer.error["message"]) == (400, "The body of your request is larger than 1048576 bytes.")


async def test_another_content_encoding_is_told_which_are_taken(stage: Stage):
    answer = await stage.ask("POST", "/v1/batches", data=b"{}", headers={"Content-Encoding": "br"})
    assert (answer.status, answer.error["code"]) == (415, "unsupported_content_encoding")
    assert answer.headers["Accept-Encoding"] == "gzip, zstd"


async def test_a_gzip_file_as_batch_input_is_told_to_be_unpacked(stage: Stage):
    with pytest.raises(BadRequestError, match=r"This file is a gzip archive: unpack it and upload the \.jsonl file"):
        await stage.client.files.create(file=("in.jsonl.gz", gzip.compress(LINE)), purpose="batch")
