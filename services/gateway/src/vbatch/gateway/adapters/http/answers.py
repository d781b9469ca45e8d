"""Builds responses: objects of the API, refusals, and streams whose errors are reported before their first byte."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TypeVar
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from vbatch.gateway.adapters.cooperative import map_cooperatively
from vbatch.gateway.adapters.multipart import FORM_BYTES_MAX
from vbatch.gateway.core.records import BatchRecord, FileRecord
from vbatch.gateway.core.refusals import Reason, Refusal, file_too_large
from vbatch.gateway.core.views import page_json

JSON = "application/json"
JSONL = "application/jsonl"
BINARY = "application/octet-stream"
BODY_BYTES_MAX = 1_048_576
LENGTH_DIGITS_MAX = 18

Found = TypeVar("Found", FileRecord, BatchRecord)


def object_answer(view: BaseModel) -> Response:
    return Response(view.model_dump_json(), media_type=JSON)


async def page_answer(found: Sequence[Found], view: Callable[[Found], BaseModel], *, limit: int) -> Response:
    """Return the page in `found`, which holds one more than `limit` if there are more."""
    shown = found[:limit]
    objects = await map_cooperatively(lambda each: view(each).model_dump_json(), shown)
    page = page_json([each.id for each in shown], objects, has_more=len(found) > limit)
    return Response(page, media_type=JSON)


def refusal_answer(refusal: Refusal, *, is_mirrored: bool = False) -> Response:
    answer = refusal.answer
    body = json.dumps(refusal.mirrored_envelope() if is_mirrored else refusal.envelope())
    headers = {**answer.headers, **refusal.headers}
    return Response(body, status_code=answer.status, media_type=JSON, headers=headers)


async def stream_answer(
    content: AsyncIterator[bytes], *, media_type: str, headers: Mapping[str, str], status: int = 200
) -> Response:
    """Stream the content. An error in the first piece is answered as an error; a later one cuts the connection."""
    first = await anext(content, b"")
    return StreamingResponse(
        _with_first(first, content), status_code=status, media_type=media_type, headers=dict(headers)
    )


async def read_body(request: Request) -> bytes:
    """Read a JSON body up to its limit. Raises Refusal."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise Refusal(Reason.BODY_TOO_LARGE, f"The body of your request is larger than {BODY_BYTES_MAX} bytes.")
    return bytes(body)


def check_length(request: Request, file_bytes_max: int) -> None:
    """Refuse a form by its announced length, before reading its bytes."""
    if announced_bytes(request) > file_bytes_max + FORM_BYTES_MAX:
        raise file_too_large()


def announced_bytes(request: Request) -> int:
    """Return the announced length of the body; 0 if it is not announced."""
    length = request.headers.get("content-length", "")
    return int(length[:LENGTH_DIGITS_MAX]) if length.isdigit() else 0


def attachment(filename: str) -> str:
    """Return the Content-Disposition of a download (RFC 6266): the plain form, and the exact one if they differ."""
    plain = "".join(char if char.isascii() and char not in '"\\' else "_" for char in filename)
    exact = "" if plain == filename else f"; filename*=UTF-8''{quote(filename, safe='')}"
    return f'attachment; filename="{plain}"{exact}'


async def _with_first(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece
