"""Exchanges with a server that says what each test has it say."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from vbatch.chassis import http_exchange as module
from vbatch.chassis.http_exchange import (
    Address,
    Exchange,
    ExchangeLost,
    Exchanges,
    ExchangeTimedOut,
    NotConnected,
    address_of,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\ncontent-length: 2\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
PATH, HEADERS, BODY = "/ask", {"x-request-id": "req_1"}, b'{"model":"small"}'


class Server:
    """Says `script[n]` to the n-th request, the last entry to all behind it."""

    def __init__(self, *script: bytes, closes: bool = False) -> None:
        self._script = script
        self._closes = closes
        self.connections = 0
        self.requests: list[bytes] = []
        self.left = asyncio.Event()
        self.talks: list[asyncio.Task[None]] = []

    def welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.talks.append(asyncio.ensure_future(self._talk(reader, writer)))

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.requests.append(head + await reader.readexactly(len(BODY)))
                writer.write(self._script[min(len(self.requests), len(self._script)) - 1])
                await writer.drain()
                if self._closes:
                    break
        self.left.set()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def exchanges_with(server: Server, folder: Path) -> AsyncIterator[Exchanges]:
    socket = str(folder / "server.sock")
    listener = await asyncio.start_unix_server(server.welcome, socket)
    exchanges = Exchanges(Address("server", socket=socket), idle_seconds_max=5.0)
    try:
        yield exchanges
    finally:
        exchanges.close()
        listener.close()
        await asyncio.gather(*server.talks)


async def begun(exchanges: Exchanges, seconds_max: float = 5.0) -> Exchange:
    return await exchanges.post(PATH, HEADERS, BODY, seconds_max)


async def content_of(exchange: Exchange) -> bytes:
    return b"".join([piece async for piece in exchange.pieces()])


async def test_an_answer_comes_with_its_status_and_headers_and_the_body_as_it_was_sent(tmp_path: Path):
    server = Server(OK)
    async with exchanges_with(server, tmp_path) as exchanges:
        exchange = await begun(exchanges)
        assert (exchange.status, exchange.headers["content-type"]) == (200, "text/plain")
        assert await content_of(exchange) == b"{}"
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /ask HTTP/1.1\r\nhost: server\r\n") and b"x-request-id: req_1" in head
    assert body == BODY


async def test_a_connection_serves_one_exchange_after_the_other(tmp_path: Path):
    server = Server(OK)
    async with exchanges_with(server, tmp_path) as exchanges:
        for _ in range(3):
            assert await content_of(await begun(exchanges)) == b"{}"
    assert (len(server.requests), server.connections) == (3, 1)


async def test_a_body_is_read_piece_by_piece_while_it_arrives():
    may_end = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CHUNKED + b"3\r\none\r\n")
        await may_end.wait()
        writer.write(b"3\r\ntwo\r\n0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        exchanges = Exchanges(address_of(f"http://127.0.0.1:{port}"), idle_seconds_max=5.0)
        pieces = aiter((await begun(exchanges)).pieces())
        assert await anext(pieces) == b"one"
        may_end.set()
        assert b"".join([piece async for piece in pieces]) == b"two"
        exchanges.close()


@pytest.mark.parametrize(
    "cut", [CHUNKED + b"3\r\none\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\none"], ids=["chunked", "counted"]
)
async def test_an_answer_that_is_cut_is_never_taken_for_a_whole_one(tmp_path: Path, cut: bytes):
    async with exchanges_with(Server(cut, closes=True), tmp_path) as exchanges:
        exchange = await begun(exchanges)
        pieces = aiter(exchange.pieces())
        assert await anext(pieces) == b"one"
        with pytest.raises(ExchangeLost):
            await anext(pieces)


async def test_an_answer_without_a_length_ends_with_its_connection(tmp_path: Path):
    async with exchanges_with(Server(b"HTTP/1.1 200 OK\r\n\r\none", closes=True), tmp_path) as exchanges:
        assert await content_of(await begun(exchanges)) == b"one"


async def test_what_only_announces_an_answer_is_passed_over(tmp_path: Path):
    async with exchanges_with(Server(b"HTTP/1.1 100 Continue\r\n\r\n" + OK), tmp_path) as exchanges:
        exchange = await begun(exchanges)
        assert (exchange.status, await content_of(exchange)) == (200, b"{}")


async def test_closing_an_answer_early_closes_its_connection_and_the_next_one_gets_its_own(tmp_path: Path):
    server = Server(CHUNKED + b"3\r\none\r\n", OK)
    async with exchanges_with(server, tmp_path) as exchanges:
        (await begun(exchanges)).close()
        async with asyncio.timeout(5):
            await server.left.wait()
        assert await content_of(await begun(exchanges)) == b"{}"
    assert server.connections == 2


async def test_a_request_that_is_cancelled_before_its_answer_closes_its_connection(tmp_path: Path):
    server = Server(b"")
    async with exchanges_with(server, tmp_path) as exchanges:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await begun(exchanges)
        async with asyncio.timeout(5):
            await server.left.wait()


@pytest.mark.parametrize("said", [b"", CHUNKED], ids=["before its head", "after its head"])
async def test_an_answer_that_takes_too_long_times_out(tmp_path: Path, said: bytes):
    async with exchanges_with(Server(said), tmp_path) as exchanges:
        with pytest.raises(ExchangeTimedOut):
            await content_of(await begun(exchanges, seconds_max=0.1))


async def test_a_server_that_is_not_there_has_not_seen_the_request(tmp_path: Path):
    with pytest.raises(NotConnected):
        await begun(Exchanges(Address("server", socket=str(tmp_path / "absent")), idle_seconds_max=5.0))


@pytest.mark.parametrize("noise", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000])
async def test_what_is_no_answer_is_a_loss(tmp_path: Path, noise: bytes):
    async with exchanges_with(Server(noise), tmp_path) as exchanges:
        with pytest.raises(ExchangeLost):
            await begun(exchanges)


async def test_bytes_that_nobody_asked_for_are_no_answer_to_the_next_request(tmp_path: Path):
    server = Server(OK + OK.replace(b"{}", b"no"), OK)
    async with exchanges_with(server, tmp_path) as exchanges:
        assert await content_of(await begun(exchanges)) == b"{}"
        assert await content_of(await begun(exchanges)) == b"{}"
    assert server.connections == 2


async def test_no_more_is_taken_than_somebody_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "UNREAD_BYTES_MAX", 100_000)
    size = 20_000_000
    server = Server(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + b"x" * size)
    async with exchanges_with(server, tmp_path) as exchanges:
        exchange = await begun(exchanges)
        pieces = aiter(exchange.pieces())
        first = await anext(pieces)
        await asyncio.sleep(0.2)
        second = await anext(pieces)
        assert len(first) + len(second) < size / 2
        assert len(first) + len(second) + sum([len(piece) async for piece in pieces]) == size


async def test_a_header_is_one_line(tmp_path: Path):
    async with exchanges_with(Server(OK), tmp_path) as exchanges:
        with pytest.raises(ValueError, match="one line"):
            await exchanges.post(PATH, {"x": "a\r\ny: b"}, BODY, 5.0)


def test_a_url_names_a_server():
    assert address_of("http://gpu0:4084").authority == "gpu0:4084"
    assert address_of("http://[::1]:4084").authority == "[::1]:4084"
    assert address_of("https://gpu0/x") == Address("gpu0", 443, is_encrypted=True)
    with pytest.raises(ValueError, match="names no host"):
        address_of("gpu0")
