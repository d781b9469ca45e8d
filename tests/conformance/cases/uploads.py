"""Uploads in parts: from their creation to a file, and everything that is refused on the way."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import openai

from tests.conformance.cases.server import Server, refused, requests

WHOLE = requests(9)
UPLOAD_KEYS = ["id", "object", "bytes", "created_at", "filename", "purpose", "status", "expires_at"]
PART_KEYS = ["id", "object", "created_at", "upload_id"]
GOOD: dict[str, Any] = {"bytes": len(WHOLE), "filename": "in.jsonl", "mime_type": "text/jsonl", "purpose": "batch"}
REFUSED_CREATES: list[tuple[dict[str, Any], str | None, str | None]] = [
    ({"bytes": 0}, "bytes", "integer_below_min_value"),
    ({"bytes": "9"}, "bytes", "invalid_type"),
    ({"bytes": 209_715_201}, None, None),
    ({"bytes": 8 * 2**30 + 1, "purpose": "user_data"}, None, None),
    ({"purpose": "nope"}, "purpose", None),
    ({"mime_type": None}, "mime_type", "missing_required_parameter"),
    ({"extra_body": {"speed": 1}}, "speed", "unknown_parameter"),
    ({"expires_after": {"anchor": "created_at", "seconds": 1}}, "expires_after.seconds", "integer_below_min_value"),
]


def parts_make_a_file_in_the_order_asked(server: Server) -> None:
    upload = _begin(server)
    middle = len(WHOLE) // 2
    second = server.client.uploads.parts.create(upload.id, data=WHOLE[middle:])
    first = server.client.uploads.parts.create(upload_id=upload.id, data=io.BytesIO(WHOLE[:middle]))
    assert (first.object, first.upload_id, first.id[:5]) == ("upload.part", upload.id, "part_")
    md5 = hashlib.md5(WHOLE, usedforsecurity=False).hexdigest()
    done = server.client.uploads.complete(upload.id, part_ids=[first.id, second.id], md5=md5)
    assert (done.status, done.file.bytes, done.file.purpose) == ("completed", len(WHOLE), "batch")
    assert server.client.files.content(done.file.id).content == WHOLE
    again = server.client.uploads.complete(upload.id, part_ids=[first.id, second.id])
    assert again.file.id == done.file.id
    with refused(openai.BadRequestError):
        server.client.uploads.parts.create(upload.id, data=b"more")


def an_upload_has_openais_keys_and_a_file_only_at_its_end(server: Server) -> None:
    made = server.client.uploads.with_raw_response.create(**GOOD)
    upload = made.parse()
    assert list(made.http_response.json()) == UPLOAD_KEYS
    assert (upload.id[:7], len(upload.id), upload.status) == ("upload_", 39, "pending")
    assert upload.expires_at - upload.created_at == 3_600
    part = server.client.uploads.parts.with_raw_response.create(upload.id, data=WHOLE)
    assert list(part.http_response.json()) == PART_KEYS
    done = server.client.uploads.with_raw_response.complete(upload.id, part_ids=[part.parse().id])
    assert list(done.http_response.json()) == [*UPLOAD_KEYS, "file"]


def the_clients_own_chunked_upload_works(server: Server) -> None:
    path = server.folder / "chunked.jsonl"
    path.write_bytes(requests(40))
    ask = {"file": path, "mime_type": "text/jsonl", "purpose": "batch", "part_size": 1_000}
    done = server.client.uploads.upload_file_chunked(**ask)
    assert server.client.files.content(done.file.id).content == requests(40)


def the_file_of_an_upload_expires_as_asked(server: Server) -> None:
    upload = _begin(server, expires_after={"anchor": "created_at", "seconds": 7_200})
    part = server.client.uploads.parts.create(upload.id, data=WHOLE)
    made = server.client.uploads.complete(upload.id, part_ids=[part.id]).file
    assert made.expires_at == made.created_at + 7_200


def a_malformed_upload_is_refused(server: Server) -> None:
    for change, param, code in REFUSED_CREATES:
        with refused(openai.BadRequestError, param=param, code=code):
            _begin(server, **change)


def a_completion_that_does_not_fit_is_refused_and_can_be_put_right(server: Server) -> None:
    upload = _begin(server)
    part = server.client.uploads.parts.create(upload.id, data=WHOLE)
    short = server.client.uploads.parts.create(upload.id, data=WHOLE[:-1])
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"part_ids": []}, "part_ids"),
        ({"part_ids": [part.id, part.id]}, "part_ids"),
        ({"part_ids": [short.id]}, "part_ids"),
        ({"part_ids": ["part_absent"]}, "part_ids"),
        ({"part_ids": [part.id], "md5": "0" * 32}, "md5"),
    ]
    for ask, param in wrong:
        with refused(openai.BadRequestError, param=param):
            server.client.uploads.complete(upload.id, **ask)
    with refused(openai.BadRequestError, param="data"):
        server.client.uploads.parts.create(upload.id, data=b"")
    assert server.client.uploads.complete(upload.id, part_ids=[part.id]).status == "completed"


def an_upload_can_be_cancelled(server: Server) -> None:
    upload = _begin(server)
    for _ in range(2):
        assert server.client.uploads.cancel(upload.id).status == "cancelled"
    with refused(openai.BadRequestError):
        server.client.uploads.parts.create(upload.id, data=b"hello")
    with refused(openai.NotFoundError, param="upload_id"):
        server.client.uploads.cancel("upload_" + "0" * 32)


def _begin(server: Server, **changes: object) -> Any:
    return server.client.uploads.create(**{**GOOD, **changes})
