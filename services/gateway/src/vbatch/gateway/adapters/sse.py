"""Long-lived streams: how many may be open at once, how they end when the server stops, and the format of events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import TypeVar

import anyio
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from vbatch.gateway.core.refusals import Reason, Refusal
from vbatch.gateway.flows.live_events import LiveEvent

RETRY_MILLISECONDS = 1_000
ALLOWED_LOOK_SECONDS = 1.0
"""A stream ends at most this long after its key was revoked."""
Item = TypeVar("Item")
HEARTBEAT = b": keep-alive\n\n"


class OpenStreams:
    """Counts open streams; closing it ends them all."""

    def __init__(self, streams_max: int) -> None:
        self._streams_max = streams_max
        self.open_count = 0
        self.closing = asyncio.Event()

    def check_room(self) -> None:
        """Raises Refusal when the maximum number of streams is open."""
        if self.open_count >= self._streams_max:
            message = f"Too many open streams: at most {self._streams_max} may be open at once."
            raise Refusal(Reason.TOO_MANY_STREAMS, message)

    @contextmanager
    def taken(self) -> Iterator[None]:
        self.open_count += 1
        try:
            yield
        finally:
            self.open_count -= 1


class OpenStream(StreamingResponse):
    """One open stream; it takes up one place while it is sent."""

    def __init__(
        self, content: AsyncIterator[bytes], streams: OpenStreams, *, media_type: str, headers: Mapping[str, str]
    ) -> None:
        unbuffered = {"cache-control": "no-store", "x-accel-buffering": "no"}
        super().__init__(content, media_type=media_type, headers=unbuffered | dict(headers))
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._streams.taken():
            await super().__call__(scope, receive, send)


def event_stream(
    events: AsyncGenerator[LiveEvent | None, None], streams: OpenStreams, is_allowed: Callable[[], bool]
) -> OpenStream:
    frames = _frames(events, streams.closing, is_allowed)
    return OpenStream(frames, streams, media_type="text/event-stream", headers={})


def open_stream(
    content: AsyncGenerator[bytes, None],
    streams: OpenStreams,
    is_allowed: Callable[[], bool],
    *,
    media_type: str,
    headers: Mapping[str, str],
) -> OpenStream:
    """Stream bytes as they come, until they end, the server stops, or the reader's key is no longer valid."""
    closed = _closed(content, streams.closing, is_allowed)
    return OpenStream(closed, streams, media_type=media_type, headers=headers)


def frame(event: LiveEvent) -> bytes:
    """Return the bytes of an event. An event of sequence 0 has no id, because a client cannot resume after it."""
    place = b"id: %d\n" % event.sequence if event.sequence else b""
    return b"%sevent: %s\ndata: %s\n\n" % (place, event.name.encode(), event.body)


async def _frames(
    events: AsyncGenerator[LiveEvent | None, None], closing: asyncio.Event, is_allowed: Callable[[], bool]
) -> AsyncIterator[bytes]:
    yield b"retry: %d\n\n" % RETRY_MILLISECONDS
    async with aclosing(events), aclosing(_until(events, closing, is_allowed)) as open_events:
        async for event in open_events:
            yield HEARTBEAT if event is None else frame(event)


async def _closed(
    content: AsyncGenerator[bytes, None], closing: asyncio.Event, is_allowed: Callable[[], bool]
) -> AsyncIterator[bytes]:
    async with aclosing(content), aclosing(_until(content, closing, is_allowed)) as open_content:
        async for piece in open_content:
            yield piece


async def _until(
    events: AsyncGenerator[Item, None], closing: asyncio.Event, is_allowed: Callable[[], bool]
) -> AsyncGenerator[Item, None]:
    """Yield the events until they end, the server stops, or the reader's access ends."""
    closed = asyncio.ensure_future(closing.wait())
    following: asyncio.Future[Item] | None = None
    try:
        while True:
            following = following or asyncio.ensure_future(anext(events))
            waits = (following, closed)
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED, timeout=ALLOWED_LOOK_SECONDS)
            if closed.done() or not is_allowed():
                return
            if not following.done():
                continue
            try:
                item, following = following.result(), None
            except StopAsyncIteration:
                return
            yield item
    finally:
        closed.cancel()
        if following is not None and not following.done():
            following.cancel()
            # The framework cancels again at each await, but the events must be released before they are closed.
            with anyio.CancelScope(shield=True):
                await asyncio.wait((following,))
