"""HTTP/1.1 POST to our own servers, one exchange at a time on each connection. The answer is read as it arrives.

For a request that is only passed on, a general client costs more than everything else. This client leaves out what is
not needed for that: redirects, compression, cookies and pipelining.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import httptools

CONNECT_SECONDS_MAX = 10.0
HEAD_BYTES_MAX = 64 * 1024
"""The largest status line and headers of an answer, when they arrive separately from the body."""
UNREAD_BYTES_MAX = 1 << 20
"""Reading from a server pauses while this many bytes of its answer are unread."""
FRAMED_BY = ("content-length", "transfer-encoding")


class NotConnected(Exception):
    """Raised when no connection was available to send the request: the server has not seen it."""


class ExchangeLost(Exception):
    """Raised when a request was sent and its answer will never be complete."""


class ExchangeTimedOut(Exception):
    """Raised when the answer was not complete in time."""


@dataclass(frozen=True, slots=True)
class Address:
    """A server behind a Unix socket, or behind a host and a port. `host` is sent to it as its name."""

    host: str
    port: int = 0
    socket: str | None = None
    is_encrypted: bool = False

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if self.port else host


def address_of(url: str) -> Address:
    """Return the server of a URL. Raises ValueError for a URL without a host."""
    parts = urlsplit(url)
    if not parts.hostname:
        raise ValueError(f"{url!r} names no host")
    is_encrypted = parts.scheme == "https"
    return Address(parts.hostname, parts.port or (443 if is_encrypted else 80), is_encrypted=is_encrypted)


class Exchanges:
    """The connections to one server. This class does not limit their number."""

    def __init__(
        self, address: Address, *, idle_seconds_max: float, connect_seconds_max: float = CONNECT_SECONDS_MAX
    ) -> None:
        self._address = address
        self._idle_seconds_max = idle_seconds_max
        self._connect_seconds_max = connect_seconds_max
        self._idle: list[_Connection] = []
        self._is_closed = False

    async def post(self, path: str, headers: Mapping[str, str], body: bytes, seconds_max: float) -> Exchange:
        """Send one request and return its answer as it begins. The caller must close the answer.

        Raises NotConnected, ExchangeLost and ExchangeTimedOut, and ValueError for a header that spans several lines.
        """
        request = _head(path, self._address.authority, headers, len(body)) + body
        exchange = (await self._connection()).start(request, seconds_max)
        try:
            await exchange.begun()
        except BaseException:
            exchange.close()
            raise
        return exchange

    def close(self) -> None:
        """Close the idle connections. A connection in use closes after its exchange."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().abort()

    def keep(self, connection: _Connection) -> None:
        """Take back a connection whose exchange is over."""
        if self._is_closed:
            connection.abort()
        else:
            self._idle.append(connection)

    async def _connection(self) -> _Connection:
        """Return the connection that was used last, if the server certainly still keeps it open; all others are
        older."""
        now = asyncio.get_running_loop().time()
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_lost and now - connection.idle_since < self._idle_seconds_max:
                return connection
            connection.abort()
        return await self._connect()

    async def _connect(self) -> _Connection:
        try:
            async with asyncio.timeout(self._connect_seconds_max):
                return await self._opened()
        except (OSError, TimeoutError) as error:
            raise NotConnected(f"{type(error).__name__}: {error}") from error

    async def _opened(self) -> _Connection:
        loop, address = asyncio.get_running_loop(), self._address
        if address.socket is not None:
            return (await loop.create_unix_connection(lambda: _Connection(self), address.socket))[1]
        trust = ssl.create_default_context() if address.is_encrypted else None
        return (await loop.create_connection(lambda: _Connection(self), address.host, address.port, ssl=trust))[1]


class Exchange:
    """One answer while it arrives. `headers` have lower-case names.

    It is the iterator of its own body: an asynchronous generator costs several times as much to begin and to end.
    """

    def __init__(self, connection: _Connection, seconds_max: float) -> None:
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(seconds_max, self._run_out)
        self._pieces: list[bytes] = []
        self._unread_bytes = 0
        self._is_over = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def begun(self) -> None:
        """Wait for the status and the headers. Raises ExchangeLost, ExchangeTimedOut."""
        while not self.status:
            if self._error is not None:
                raise self._error
            await self._change()

    def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives. Raises ExchangeLost or ExchangeTimedOut after the pieces that arrived."""
        return self

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self._is_over:
                raise StopAsyncIteration
            await self._change()
        return self._taken()

    def close(self) -> None:
        """Release the exchange. If the answer is not complete, its connection is closed too, so that the server sees
        that no client waits."""
        if not self._is_over:
            self.fail(ExchangeLost("the answer was closed"))

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        self.status, self.headers = status, headers
        self._wake()

    def add(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._unread_bytes += len(piece)
        if self._unread_bytes > UNREAD_BYTES_MAX:
            self._connection.pause()
        self._wake()

    def end(self) -> None:
        self._is_over = True
        self._timer.cancel()
        self._wake()

    def fail(self, error: Exception) -> None:
        """Record the error. Only the first error counts, and none after the end."""
        if not self._is_over:
            self._error = error
            self.end()
            self._connection.abort()

    def _taken(self) -> bytes:
        content = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._unread_bytes = 0
        if not self._is_over:
            self._connection.resume()
        return content

    def _run_out(self) -> None:
        self.fail(ExchangeTimedOut("the answer was not complete in time"))

    async def _change(self) -> None:
        self._waiter = self._loop.create_future()
        await self._waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _Connection(asyncio.Protocol):
    """One connection. The parser calls the `on_` methods."""

    def __init__(self, pool: Exchanges) -> None:
        self._pool = pool
        self._transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._exchange: Exchange | None = None
        self._headers: dict[str, str] = {}
        self._head_bytes = 0
        self._is_paused = False
        self.is_lost = False
        self.idle_since = 0.0

    def start(self, request: bytes, seconds_max: float) -> Exchange:
        """Send one request. Call this only when the last exchange is over."""
        self._headers, self._head_bytes = {}, 0
        self._exchange = exchange = Exchange(self, seconds_max)
        if self.is_lost:
            exchange.fail(ExchangeLost("the connection was closed"))
        else:
            self._transport.write(request)
        return exchange

    def abort(self) -> None:
        self.is_lost = True
        self._transport.abort()

    def pause(self) -> None:
        if not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._is_paused and not self.is_lost:
            self._is_paused = False
            self._transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class is not a subclass

    def connection_lost(self, error: Exception | None) -> None:
        self.is_lost = True
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            return
        is_framed = any(name in exchange.headers for name in FRAMED_BY)
        if error is None and exchange.status and not is_framed:
            exchange.end()  # an answer without a length ends with its connection (RFC 9112, 6.3)
        exchange.fail(ExchangeLost(f"the connection was closed: {error}" if error else "the connection was closed"))

    def data_received(self, received: bytes) -> None:
        if self._exchange is None:
            self.abort()  # no request was sent: the next answer here might belong to another request
            return
        try:
            self._parser.feed_data(received)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(ExchangeLost(f"no HTTP: {error}"))
            return
        if self._exchange is not None and not self._exchange.status:
            self._count_head(len(received))

    def _count_head(self, size: int) -> None:
        """Limit the head here: the parser would collect a head of any length."""
        self._head_bytes += size
        if self._head_bytes > HEAD_BYTES_MAX:
            self._fail(ExchangeLost(f"the head of the answer was larger than {HEAD_BYTES_MAX >> 10} KiB"))

    def _fail(self, error: Exception) -> None:
        if self._exchange is not None:
            self._exchange.fail(error)
        self.abort()

    def on_message_begin(self) -> None:
        if self._exchange is None:
            self.abort()  # as above

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200 and self._exchange is not None:  # 1xx only announces that the answer will follow
            self._exchange.begin(status, self._headers)
        self._headers = {}

    def on_body(self, piece: bytes) -> None:
        if self._exchange is not None:
            self._exchange.add(piece)

    def on_message_complete(self) -> None:
        exchange = self._exchange
        if exchange is None or not exchange.status:
            return
        self._exchange = None
        exchange.end()
        self.resume()
        if self._parser.should_keep_alive():
            self.idle_since = asyncio.get_running_loop().time()
            self._pool.keep(self)
        else:
            self.abort()


def _head(path: str, authority: str, headers: Mapping[str, str], length: int) -> bytes:
    """Return the bytes of the head. Raises ValueError for a header that spans several lines."""
    lines = [f"{name}: {value}" for name, value in headers.items()]
    text = "\0".join(lines)  # checked as one, because this is done for each request
    if "\r" in text or "\n" in text or text.count("\0") >= max(1, len(lines)):
        raise ValueError("a header of a request is one line")
    head = (f"POST {path} HTTP/1.1", f"host: {authority}", *lines, f"content-length: {length}", "", "")
    return "\r\n".join(head).encode()
