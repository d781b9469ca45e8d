"""Exchanges with a server on a Unix socket that says what each test has it say."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from vbatch.gpu_runner.adapters.engine.http import connection_pool as module
from vbatch.gpu_runner.adapters.engine.http.connection_pool import ConnectionPool
from vbatch.gpu_runner.ports import AnswerNotHttp, AnswerTooLarge, ConnectionLost, RequestTimedOut

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
PATH, BODY = "/v1/chat/completions", b'{"model":"small"}'
ANSWER_BYTES_MAX = 1_000


class Server:
    """Says `script[n]` to the n-th request, the last entry to all behind it; an empty entry says nothing at all."""

    def __init__(self, *script: bytes, closes: bool = False) -> None:
        self._script = script
        self._closes = closes
        self.connections = 0
        self.requests: list[bytes] = []
        self.came, self.left = asyncio.Event(), asyncio.Event()
        self.talks: list[asyncio.Task[None]] = []

    def welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.talks.append(asyncio.ensure_future(self.talk(reader, writer)))

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.requests.append(head + await reader.readexactly(len(BODY)))
                self.came.set()
                writer.write(self._script[min(len(self.requests), len(self._script)) - 1])
                await writer.drain()
                if self._closes:
                    break
        self.left.set()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def lanes_to(server: Server, folder: Path, request_seconds_max: float = 5.0) -> AsyncIterator[ConnectionPool]:
    socket = str(folder / "engine.sock")
    listener = await asyncio.start_unix_server(server.welcome, socket)
    connection_pool = ConnectionPool(socket, request_seconds_max=request_seconds_max, answer_bytes_max=ANSWER_BYTES_MAX)
    try:
        yield connection_pool
    finally:
        connection_pool.close()
        listener.close()
        await asyncio.gather(*server.talks)


async def test_a_request_that_has_its_connection_leaves_only_through_the_gate(home: Path):
    server, is_at_gate, opened = Server(OK), asyncio.Event(), asyncio.Event()

    async def gate() -> None:
        is_at_gate.set()
        await opened.wait()

    async with lanes_to(server, home) as connection_pool:
        asking = asyncio.create_task(connection_pool.post(PATH, BODY, gate))
        await is_at_gate.wait()
        await connection_pool.post(PATH, BODY)  # another goes out meanwhile
        assert len(server.requests) == 1 and server.connections == 2
        opened.set()
        assert (await asking).status_code == 200
    assert len(server.requests) == 2


async def test_a_request_goes_out_as_it_is_and_its_answer_comes_back(home: Path):
    server = Server(OK)
    async with lanes_to(server, home) as connection_pool:
        answer = await connection_pool.post(PATH, BODY)
    assert (answer.status_code, answer.body) == (200, b"{}")
    assert server.requests[0].startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert server.requests[0].endswith(b"\r\n\r\n" + BODY)


async def test_one_connection_serves_one_request_after_another_and_two_at_once_have_two(home: Path):
    server = Server(OK)
    async with lanes_to(server, home) as connection_pool:
        await connection_pool.post(PATH, BODY)
        await connection_pool.post(PATH, BODY)
        assert server.connections == 1
        await asyncio.gather(connection_pool.post(PATH, BODY), connection_pool.post(PATH, BODY))
        assert server.connections == 2


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
    ],
)  # fmt: skip
async def test_an_answer_may_come_in_pieces_or_be_announced(home: Path, said: bytes):
    async with lanes_to(Server(said), home) as connection_pool:
        answer = await connection_pool.post(PATH, BODY)
    assert (answer.status_code, answer.body) == (200, b'{"a":1}')


async def test_an_answer_may_ask_for_a_pause(home: Path):
    said = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\ncontent-length: 2\r\n\r\n{}"
    async with lanes_to(Server(said, OK), home) as connection_pool:
        assert (await connection_pool.post(PATH, BODY)).retry_after == 7.0
        assert (await connection_pool.post(PATH, BODY)).retry_after is None


async def test_an_answer_without_a_length_ends_with_its_connection(home: Path):
    server = Server(b"HTTP/1.1 200 OK\r\n\r\n{}", closes=True)
    async with lanes_to(server, home) as connection_pool:
        assert (await connection_pool.post(PATH, BODY)).body == b"{}"
        assert (await connection_pool.post(PATH, BODY)).body == b"{}"
    assert server.connections == 2


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}", b"HTTP/1.1 200"])
async def test_a_connection_that_ends_before_its_answer_is_lost(home: Path, said: bytes):
    async with lanes_to(Server(said, closes=True), home) as connection_pool:
        with pytest.raises(ConnectionLost):
            await connection_pool.post(PATH, BODY)


async def test_what_is_not_http_says_so_and_the_next_request_has_another_connection(home: Path):
    server = Server(b"hello?\r\n\r\n", OK)
    async with lanes_to(server, home) as connection_pool:
        with pytest.raises(AnswerNotHttp, match="was not HTTP"):
            await connection_pool.post(PATH, BODY)
        assert (await connection_pool.post(PATH, BODY)).status_code == 200
    assert server.connections == 2


async def test_nobody_listening_is_a_lost_connection(home: Path):
    connection_pool = ConnectionPool(
        str(home / "nobody.sock"), request_seconds_max=5.0, answer_bytes_max=ANSWER_BYTES_MAX
    )
    with pytest.raises(ConnectionLost):
        await connection_pool.post(PATH, BODY)


async def test_an_answer_without_end_is_too_large(home: Path):
    endless = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + 3 * (b"200\r\n" + 512 * b"x" + b"\r\n")
    async with lanes_to(Server(endless), home) as connection_pool:
        with pytest.raises(AnswerTooLarge):
            await connection_pool.post(PATH, BODY)


async def test_a_request_has_a_limit_of_time_and_leaves_the_engine_then(home: Path):
    server = Server(b"")
    async with lanes_to(server, home, request_seconds_max=0.05) as connection_pool:
        with pytest.raises(RequestTimedOut):
            await connection_pool.post(PATH, BODY)
        await asyncio.wait_for(server.left.wait(), 5.0)


async def test_cancelling_takes_the_request_back_from_the_engine(home: Path):
    server = Server(b"")
    async with lanes_to(server, home) as connection_pool:
        asking = asyncio.ensure_future(connection_pool.post(PATH, BODY))
        await asyncio.wait_for(server.came.wait(), 5.0)
        asking.cancel()
        await asyncio.wait_for(server.left.wait(), 5.0)


async def test_an_answer_nobody_asked_for_is_never_taken_for_the_next_ones(home: Path):
    server = Server(OK + OK.replace(b"{}", b"[]"), OK)
    async with lanes_to(server, home) as connection_pool:
        assert (await connection_pool.post(PATH, BODY)).body == b"{}"
        assert (await connection_pool.post(PATH, BODY)).body == b"{}"


async def test_a_connection_idle_for_long_is_not_used_again(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "IDLE_SECONDS_MAX", 0.0)
    server = Server(OK)
    async with lanes_to(server, home) as connection_pool:
        await connection_pool.post(PATH, BODY)
        await connection_pool.post(PATH, BODY)
    assert server.connections == 2


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 200 OK\r\nx-odd: " + b"y" * 1_000_000, b"HTTP/1.1 200 " + b"O" * 1_000_000],
    ids=["a header without an end", "a reason without an end"],
)
async def test_a_head_without_an_end_fails_its_request_alone(head: bytes, tmp_path: Path):
    server = Server(head, OK)
    async with lanes_to(server, tmp_path) as connection_pool:
        with pytest.raises((AnswerTooLarge, ConnectionLost)):
            await connection_pool.post(PATH, BODY)
        assert (await connection_pool.post(PATH, BODY)).status_code == 200


async def test_a_pause_that_no_clock_shows_is_none(tmp_path: Path):
    head = b"HTTP/1.1 503 No\r\nretry-after: 1 Jan 99999999999999 1:1:1 GMT\r\ncontent-length: 2\r\n\r\n{}"
    async with lanes_to(Server(head), tmp_path) as connection_pool:
        answer = await connection_pool.post(PATH, BODY)
    assert (answer.status_code, answer.retry_after) == (503, None)


async def test_an_engine_that_wants_to_speak_something_else_is_no_engine(tmp_path: Path):
    head = b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"
    async with lanes_to(Server(head, OK), tmp_path) as connection_pool:
        with pytest.raises(ConnectionLost):
            await connection_pool.post(PATH, BODY)
        assert (await connection_pool.post(PATH, BODY)).status_code == 200
