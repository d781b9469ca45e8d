"""Sends one request after another on each of several connections, with so little overhead that even few cores are left
to the server.

A general HTTP client costs several times what the gateway spends on a request, so a benchmark would measure the client.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import httptools
import uvloop

CONNECT_SECONDS_MAX = 10.0
ANSWER_SECONDS_MAX = 60.0


@dataclass(frozen=True)
class Target:
    """Where requests go: a path at a URL, or at a server behind a Unix socket."""

    url: str
    socket: str | None = None

    def request(self, body: bytes) -> bytes:
        """The bytes of one request."""
        place = urlsplit(self.url)
        head = f"POST {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@dataclass(frozen=True)
class Load:
    """The result: the seconds of each request, the seconds from the first to the last, and the CPU seconds of this
    client."""

    latencies: Sequence[float]
    seconds: float
    client_cpu_seconds: float

    @property
    def rate(self) -> float:
        """Requests per second."""
        return len(self.latencies) / self.seconds


def put_load(target: Target, body: bytes, count: int, connections: int = 1) -> Load:
    """Send the same request `count` times. Raises AnswerRefused for any answer but 200, OSError, TimeoutError."""
    return uvloop.run(_put_load(target, body, count, connections))


class AnswerRefused(Exception):
    """Raised when the server did not answer with 200; the text is its answer."""


async def _put_load(target: Target, body: bytes, count: int, connections: int) -> Load:
    latencies: list[float] = []
    opened = [await _connected(target) for _ in range(connections)]
    try:
        began, cpu = time.perf_counter(), time.process_time()
        async with asyncio.TaskGroup() as tasks:
            for connection in opened:
                tasks.create_task(_ask(connection, target.request(body), count // connections, latencies))
        return Load(latencies, time.perf_counter() - began, time.process_time() - cpu)
    finally:
        for connection in opened:
            connection.close()


async def _connected(target: Target) -> _Connection:
    loop, place = asyncio.get_running_loop(), urlsplit(target.url)
    async with asyncio.timeout(CONNECT_SECONDS_MAX):
        if target.socket is not None:
            return (await loop.create_unix_connection(_Connection, target.socket))[1]
        return (await loop.create_connection(_Connection, str(place.hostname), place.port or 80))[1]


async def _ask(connection: _Connection, request: bytes, count: int, latencies: list[float]) -> None:
    for _ in range(count):
        began = time.perf_counter()
        status, content = await connection.exchange(request)
        if status != 200:
            raise AnswerRefused(f"{status}: {content[:300]!r}")
        latencies.append(time.perf_counter() - began)


class _Connection(asyncio.Protocol):
    """The parser calls the `on_` methods."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._pieces: list[bytes] = []
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    def exchange(self, request: bytes) -> asyncio.Future[tuple[int, bytes]]:
        """Send the request; return a future of the status and the body."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def close(self) -> None:
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class is not a subclass

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError(f"the connection was closed: {error}"))

    def data_received(self, received: bytes) -> None:
        self._parser.feed_data(received)

    def on_body(self, piece: bytes) -> None:
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        content, self._pieces = b"".join(self._pieces), []
        if self._answer is not None:
            self._answer.set_result((self._parser.get_status_code(), content))
