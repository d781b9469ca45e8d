"""HTTP/1.1 POST over a Unix socket or TCP, with one exchange at a time on each connection.

A general client costs more than everything else that happens to a request outside the engine. This client does what an
engine needs and refuses the rest: no redirects, no compression, no pipelining.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast

import httptools

from vbatch.gpu_runner.core.retrying import read_retry_after
from vbatch.gpu_runner.ports import (
    Answer,
    AnswerNotHttp,
    AnswerTooLarge,
    ConnectionLost,
    Gate,
    NotConnected,
    RequestTimedOut,
    open_gate,
)

CONNECT_SECONDS_MAX = 10.0
IDLE_SECONDS_MAX = 2.0
"""Less than the time for which any server keeps an idle connection (vLLM: 5 s), so we never write to one that is
closing."""
HEAD_BYTES_MAX = 64 * 1024
"""The largest status line and headers of an answer, when they arrive separately from its body."""
RETRY_AFTER = b"retry-after"
FRAMED_BY = (b"content-length", b"transfer-encoding")


@dataclass(frozen=True, slots=True)
class TcpTarget:
    """A server at `address`, which may be one of several that share `host`. `prefix` is put before every path."""

    address: str
    port: int
    host: str
    prefix: str = ""
    tls: ssl.SSLContext | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def host_header(self) -> str:
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == (443 if self.tls else 80) else f"{name}:{self.port}"


class ConnectionPool:
    """Connections to one server: the path of a socket, or a TcpTarget. The pool does not limit their number: the
    concurrency limit does."""

    def __init__(self, target: str | TcpTarget, *, request_seconds_max: float, answer_bytes_max: int) -> None:
        self._target = target
        self._request_seconds_max = request_seconds_max
        self._answer_bytes_max = answer_bytes_max
        self._idle: list[_Connection] = []
        self._busy: set[_Connection] = set()
        self._heads: dict[str, bytes] = {}
        self._loop = asyncio.get_running_loop()

    async def post(self, path: str, body: bytes, gate: Gate = open_gate) -> Answer:
        """Send one request. Raises ConnectionLost, RequestTimedOut, AnswerTooLarge. Cancelling it closes the
        connection."""
        connection = await self._connection()
        self._busy.add(connection)
        timer = None
        try:
            await gate()
            timer = self._loop.call_later(self._request_seconds_max, connection.run_out)
            answer = await connection.exchange(self._head(path) % len(body) + body)
        except BaseException:
            connection.close()
            raise
        finally:
            self._busy.discard(connection)
            if timer is not None:
                timer.cancel()
        self._keep(connection)
        return answer

    def close(self) -> None:
        """Close the idle connections; a connection in use closes after its exchange."""
        while self._idle:
            self._idle.pop().close()

    def abort(self) -> None:
        """Close every connection: each caller that waits for an answer gets ConnectionLost."""
        self.close()
        for connection in list(self._busy):
            connection.close()

    def _head(self, path: str) -> bytes:
        found = self._heads.get(path)
        if found is None:
            found = self._heads[path] = _head_of(self._target, path)
        return found

    def _keep(self, connection: _Connection) -> None:
        if connection.is_reusable:
            connection.idle_since = self._loop.time()
            self._idle.append(connection)
        else:
            connection.close()

    async def _connection(self) -> _Connection:
        """Return the most recently used connection if the engine surely still keeps it; all others are older."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_lost and self._loop.time() - connection.idle_since < IDLE_SECONDS_MAX:
                return connection
            connection.close()
        return await self._connect()

    async def _connect(self) -> _Connection:
        try:
            async with asyncio.timeout(CONNECT_SECONDS_MAX):
                return await self._opened()
        except (OSError, TimeoutError) as error:
            raise NotConnected(f"{type(error).__name__}: {error}") from error

    async def _opened(self) -> _Connection:
        target = self._target
        if isinstance(target, str):
            _, connection = await self._loop.create_unix_connection(self._new_connection, target)
        else:
            name = target.host if target.tls else None
            _, connection = await self._loop.create_connection(
                self._new_connection, target.address, target.port, ssl=target.tls, server_hostname=name
            )
        return connection

    def _new_connection(self) -> _Connection:
        return _Connection(self._answer_bytes_max)


class _Connection(asyncio.Protocol):
    """One connection. The parser calls the `on_` methods."""

    def __init__(self, answer_bytes_max: int) -> None:
        self._answer_bytes_max = answer_bytes_max
        self._transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[Answer] | None = None
        self._pieces: list[bytes] = []
        self._size = self._head_bytes = 0
        self._is_framed = False
        self._has_head = False
        self._retry_after: str | None = None
        self.is_lost = False
        self.is_reusable = False
        self.idle_since = 0.0

    def exchange(self, request: bytes) -> asyncio.Future[Answer]:
        """Send one request and return a future of its answer. Call it only once the previous exchange is done."""
        self._pieces, self._size = [], 0
        self._is_framed = self._has_head = self.is_reusable = False
        self._retry_after, self._head_bytes = None, 0
        self._answer = answer = asyncio.get_running_loop().create_future()
        if self.is_lost:
            self._fail(ConnectionLost("the connection was closed"))
        else:
            self._transport.write(request)
        return answer

    def close(self) -> None:
        self._transport.abort()

    def run_out(self) -> None:
        self._fail(RequestTimedOut())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class is not a subclass

    def connection_lost(self, error: Exception | None) -> None:
        self.is_lost = True
        if error is None and self._has_head and not self._is_framed:
            self._finish()  # an answer without a length ends with its connection (RFC 9112, 6.3)
        self._fail(ConnectionLost(f"the connection was closed: {error}" if error else "the connection was closed"))

    def data_received(self, received: bytes) -> None:
        if self._answer is None or self._answer.done():
            self._transport.abort()  # nothing was asked: the next answer here might belong to another request
            return
        try:
            self._parser.feed_data(received)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(AnswerNotHttp(f"The engine's answer was not HTTP: {error}."))
            self._transport.abort()
            return
        if not self._has_head:
            self._count_head(len(received))

    def _count_head(self, size: int) -> None:
        """Limit the head here: the parser would collect an endless one."""
        self._head_bytes += size
        if self._head_bytes > HEAD_BYTES_MAX:
            self._fail(AnswerTooLarge(f"The head of the engine's answer was larger than {HEAD_BYTES_MAX >> 10} KiB."))
            self._transport.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name in FRAMED_BY:
            self._is_framed = True
        elif name == RETRY_AFTER:
            self._retry_after = value.decode(errors="replace")

    def on_headers_complete(self) -> None:
        self._has_head = True

    def on_body(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._answer_bytes_max:
            self._fail(AnswerTooLarge(f"The engine's answer was larger than {self._answer_bytes_max >> 20} MiB."))
            self._transport.abort()
        else:
            self._pieces.append(piece)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() >= 200:  # 1xx only says that the answer is on its way
            self.is_reusable = self._parser.should_keep_alive()
            self._finish()

    def _finish(self) -> None:
        if self._answer is not None and not self._answer.done():
            pause = read_retry_after(self._retry_after, datetime.now(UTC)) if self._retry_after else None
            self._answer.set_result(Answer(self._parser.get_status_code(), b"".join(self._pieces), pause))

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


def _head_of(target: str | TcpTarget, path: str) -> bytes:
    """Return the head with a placeholder for the length."""
    host, prefix, more = "engine", "", ""
    if isinstance(target, TcpTarget):
        host, prefix = target.host_header, target.prefix
        more = "".join(f"{name}: {value}\r\n" for name, value in target.headers.items())
    head = (
        f"POST {prefix}{path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nAccept: */*\r\n"
        f"Accept-Encoding: identity\r\n{more}"
    )
    return head.replace("%", "%%").encode() + b"Content-Length: %d\r\n\r\n"
