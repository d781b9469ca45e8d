"""The live stream of an open page: server-sent events whose data is JSON, so that HTML of any shape fits a line."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Hashable
from contextlib import aclosing
from functools import lru_cache

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import StreamingResponse
from starlette.responses import Response

from vbatch.console.adapters.http.pages import PAGES, glances
from vbatch.console.adapters.http.visitors import Parts, TheVisitor, parts_of
from vbatch.console.flows.live import Beat, Fragment, LoggedOut, Message, Trouble, Watch
from vbatch.console.flows.pages import PageParams

RETRY_MILLISECONDS = 1_000
FRAMES_KEPT = 64
"""Tabs that show the same page get the same bytes."""

router = APIRouter()


@router.get("/live/{name}")
async def live(request: Request, name: str, visitor: TheVisitor) -> Response:
    parts = parts_of(request)
    if name not in PAGES:
        raise HTTPException(404)
    if parts.stream_count >= parts.settings.streams_max:
        raise HTTPException(503, f"At most {parts.settings.streams_max} live pages may be open at once.")
    query = dict(request.query_params)
    ask = PageParams(query.pop("batch_id", ""), query)

    def watch() -> Watch:
        return Watch(visitor.api, glances(request, visitor, name, ask), ask.batch_id or None, parts.closing)

    key = (visitor.token, name, ask.batch_id, frozenset(query.items()))
    frames = _frames(parts, key, watch)
    return StreamingResponse(frames, media_type="text/event-stream", headers={"x-accel-buffering": "no"})


async def _frames(parts: Parts, key: Hashable, make: Callable[[], Watch]) -> AsyncGenerator[bytes, None]:
    parts.stream_count += 1
    try:
        yield b"retry: %d\n\n" % RETRY_MILLISECONDS
        async with parts.watches.tab(key, make) as tab, aclosing(tab.messages()) as messages:
            async for message in messages:
                yield frame(message)
    finally:
        parts.stream_count -= 1


@lru_cache(maxsize=FRAMES_KEPT)
def frame(message: Message) -> bytes:
    match message:
        case Fragment():
            return _event("fragment", {"name": message.name, "html": message.html})
        case Beat():
            return _event("beat", {})
        case Trouble():
            return _event("trouble", {"words": message.words})
        case LoggedOut():
            return _event("logged-out", {})


def _event(name: str, data: dict[str, str]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
