"""The live stream of an open page: server-sent events whose data is JSON, so that HTML of any shape fits a line."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import StreamingResponse
from starlette.responses import Response

from vbatch.console.adapters.http.pages import PAGES, fragments
from vbatch.console.adapters.http.visitors import Parts, TheVisitor, parts_of
from vbatch.console.flows.live import Beat, Fragment, Live, LoggedOut, Message, Position, Trouble
from vbatch.console.flows.pages import PageAsk

RETRY_MILLISECONDS = 1_000
LAST_ID_CHARS_MAX = 20

router = APIRouter()


@router.get("/live/{name}")
async def live(request: Request, name: str, visitor: TheVisitor) -> Response:
    parts = parts_of(request)
    if name not in PAGES:
        raise HTTPException(404)
    if parts.stream_count >= parts.settings.streams_max:
        raise HTTPException(503, f"At most {parts.settings.streams_max} live pages may be open at once.")
    query = dict(request.query_params)
    ask = PageAsk(query.pop("batch_id", ""), query)
    last_id = request.headers.get("last-event-id", query.pop("after_event", ""))[:LAST_ID_CHARS_MAX]
    page = Live(
        source=visitor.api,
        look=lambda: fragments(request, visitor, name, ask),
        batch_id=ask.batch_id or None,
        closing=parts.closing,
        last_id=last_id if last_id.isdigit() else "",
    )
    return StreamingResponse(_frames(page, parts), media_type="text/event-stream", headers={"x-accel-buffering": "no"})


async def _frames(page: Live, parts: Parts) -> AsyncGenerator[bytes, None]:
    parts.stream_count += 1
    try:
        yield b"retry: %d\n\n" % RETRY_MILLISECONDS
        async with aclosing(page.messages()) as messages:
            async for message in messages:
                yield frame(message)
    finally:
        parts.stream_count -= 1


def frame(message: Message) -> bytes:
    match message:
        case Fragment():
            return _event("fragment", {"name": message.name, "html": message.html})
        case Position():
            place = f"id: {message.id}\n".encode() if message.id else b""
            return place + _event("position", {"id": message.id})
        case Beat():
            return _event("beat", {})
        case Trouble():
            return _event("trouble", {"words": message.words})
        case LoggedOut():
            return _event("logged-out", {})


def _event(name: str, data: dict[str, str]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
