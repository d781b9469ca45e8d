"""Clients that mean harm, or have a bad line: refused or sent away in time, and nothing of them is left."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from yarl import URL

from tests.integration.gateway.stage import LINE, Stage, gateway_running
from tests.integration.results.stage import Place, eventually
from vbatch.journal.port import Journal

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

FORM = {"Content-Type": "multipart/form-data; boundary=b"}
PURPOSE = b'--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
FILE = b'--b\r\ncontent-disposition: form-data; name="file"; filename="x"\r\n\r\n'
END = b"\r\n--b--\r\n"
MEGABYTE = 1 << 20
OPEN_FILES = "/proc/self/fd"
ENDLESS = {
    "a preamble": (b"", b"x" * 4_096 + b"\r\n"),
    "fields": (b"", PURPOSE * 32),
    "a header": (b"--b\r\ncontent-disposition: ", b"x" * 4_096),
    "headers": (b"--b\r\n", b"a: b\r\n" * 512),
    "an epilogue": (PURPOSE + FILE + LINE + END, b"x" * 4_096),
    "boundaries": (PURPOSE + FILE, b"\r\n--b\r\n" * 512),
}
HOSTILE_HEADS = (
    b"POST /v1/files HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n",
    b"POST /v1/files HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999999\r\n\r\n",
    b"POST /v1/files HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ncontent-length: 9\r\n\r\n{}x",
    b"POST /v1/files HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    b"GET /v1/files HTTP/9.9\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET /v1/files HTTP/1.1\r\nx: " + b"y" * MEGABYTE + b"\r\n\r\n",
)


@pytest.mark.parametrize("kind", ENDLESS)
async def test_a_form_without_end_is_refused_early_and_nothing_is_kept(lonely_stage: Stage, kind: str):
    head, rest = ENDLESS[kind]
    sent = 0

    async def form() -> AsyncIterator[bytes]:
        nonlocal sent
        yield head
        while sent < 256 * MEGABYTE:
            yield rest
            sent += len(rest)

    status, error = await answer_to(lonely_stage, form())

    assert status == 400, error
    assert set(error) == {"message", "type", "param", "code"}
    assert sent < 16 * MEGABYTE
    assert lonely_stage.stored_blobs() == []


async def test_a_client_that_falls_silent_is_sent_away(place: Place, journal: Journal):
    async with gateway_running(place, journal, body_silence_seconds_max=0.3) as stage:
        answers = await asyncio.gather(*(whole_answer(stage, form_head() + FILE + LINE) for _ in range(10)))

        assert all(answer.startswith(b"HTTP/1.1 408") and b'"request_timeout"' in answer for answer in answers)
        assert stage.stored_blobs() == []


async def test_a_client_that_trickles_is_sent_away_after_all(place: Place, journal: Journal):
    async with gateway_running(place, journal, body_silence_seconds_max=0.3, body_seconds_max=0.6) as stage:
        trickle = [form_head() + FILE + b"{", *[b"x"] * 50]
        answer = await whole_answer(stage, *trickle, pause=0.05)

        assert answer.startswith(b"HTTP/1.1 408")
        assert stage.stored_blobs() == []


@pytest.mark.parametrize("sent", [b"", b"GET /v1/mod", b"GET /v1/models HTTP/1.1\r\nhost: x\r\nx-slow: "])
async def test_a_head_that_is_not_whole_in_time_is_refused(place: Place, journal: Journal, sent: bytes):
    async with gateway_running(place, journal, head_seconds_max=0.3) as stage:
        trickle = [sent, *[b"x"] * 50] if sent else [sent]
        answers = await asyncio.gather(*(whole_answer(stage, *trickle, pause=0.05) for _ in range(10)))

    assert all(answer.startswith(b"HTTP/1.1 408") and b'"request_timeout"' in answer for answer in answers)


async def test_the_head_of_a_second_request_is_not_waited_for_longer(place: Place, journal: Journal):
    async with gateway_running(place, journal, head_seconds_max=0.3) as stage:
        answer = await whole_answer(stage, b"GET /health HTTP/1.1\r\nhost: x\r\n\r\nGET /health HTTP/1.1\r\n")

    assert answer.startswith(b"HTTP/1.1 200") and b"HTTP/1.1 408" in answer


async def test_a_slow_answer_and_a_slow_body_are_not_taken_for_a_slow_head(place: Place, journal: Journal):
    async with gateway_running(place, journal, head_seconds_max=0.2) as stage:
        form = form_head().replace(str(MEGABYTE).encode(), str(len(FILE + LINE + END)).encode())
        form = form.replace(b"host: x", b"host: x\r\nconnection: close")
        answer = await whole_answer(stage, form + FILE, LINE, END, pause=0.3)

    assert answer.startswith(b"HTTP/1.1 400") and b"purpose" in answer


async def test_a_head_without_end_is_refused_early(lonely_stage: Stage):
    head = [b"GET /v1/models HTTP/1.1\r\nhost: x\r\n", *[b"x: " + b"y" * 4_096 + b"\r\n"] * 1_000]
    answer = await whole_answer(lonely_stage, *head)

    assert answer == b"" or answer.startswith(b"HTTP/1.1 431")


async def test_one_connection_too_many_is_sent_away_and_the_others_are_served(place: Place, journal: Journal):
    async with gateway_running(place, journal, connections_max=3) as stage:
        held = [await connected(stage) for _ in range(3)]
        answer = await whole_answer(stage, b"")
        held[0][1].write(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        served = await held[0][0].readuntil(b"\r\n")
        for _, writer in held:
            writer.transport.abort()

    assert answer.startswith(b"HTTP/1.1 503") and b'"service_unavailable"' in answer
    assert served.startswith(b"HTTP/1.1 200")


async def test_what_is_no_http_is_told_so_in_the_envelope(lonely_stage: Stage):
    head, _, body = (await whole_answer(lonely_stage, b"hello\r\n\r\n")).partition(b"\r\n\r\n")

    assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}
    assert b"x-request-id: req_" in head and b"openai-version" in head


async def test_what_is_cut_off_in_the_middle_is_not_kept(lonely_stage: Stage):
    before = len(os.listdir(OPEN_FILES))
    upload = await lonely_stage.client.uploads.create(
        bytes=MEGABYTE, filename="x", mime_type="text/plain", purpose="user_data"
    )
    for path in ("/v1/files", f"/v1/uploads/{upload.id}/parts"):
        field = FILE if path == "/v1/files" else FILE.replace(b'"file"', b'"data"')
        for _ in range(10):
            _, writer = await connected(lonely_stage)
            writer.write(form_head(path) + field + LINE * 1_000)
            await writer.drain()
            writer.transport.abort()

    async def nothing_is_left() -> bool:
        return lonely_stage.stored_blobs() == [] and len(os.listdir(OPEN_FILES)) <= before + 2

    await eventually(nothing_is_left)


async def test_what_is_no_http_is_closed_and_others_are_still_served(lonely_stage: Stage):
    for head in HOSTILE_HEADS:
        answer = await whole_answer(lonely_stage, head, is_last=True)
        assert answer == b"" or 400 <= int(answer.split()[1]) < 500, (head[:60], answer[:200])

    assert (await lonely_stage.ask("GET", "/health")).status == 200


async def answer_to(stage: Stage, form: AsyncIterator[bytes]) -> tuple[int, Any]:
    """The answer to a chunked form that may come before the form has ended."""
    reader, writer = await connected(stage)
    writer.write(b"POST /v1/files HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n")
    writer.write(f"content-type: {FORM['Content-Type']}\r\n\r\n".encode())

    async def send() -> None:
        async for piece in form:
            if piece:
                writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                await writer.drain()

    sending = asyncio.ensure_future(send())
    try:
        async with asyncio.timeout(20):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split()[0])
            return int(head.split()[1]), json.loads(await reader.readexactly(length))["error"]
    finally:
        sending.cancel()
        await asyncio.wait((sending,))
        writer.transport.abort()


def form_head(path: str = "/v1/files") -> bytes:
    content_type = FORM["Content-Type"]
    return (
        f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {content_type}\r\ncontent-length: {MEGABYTE}\r\n\r\n"
    ).encode()


async def whole_answer(stage: Stage, *pieces: bytes, pause: float = 0.0, is_last: bool = False) -> bytes:
    """All that comes back until the server closes the connection; with `is_last` this side says that it is done."""
    reader, writer = await connected(stage)

    async def send() -> None:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(pause)
        if is_last:
            writer.write_eof()

    sending, answer = asyncio.ensure_future(send()), b""
    try:
        # A server that does not want the rest may close before it is read.
        with suppress(ConnectionError):
            async with asyncio.timeout(10):
                while piece := await reader.read(MEGABYTE):
                    answer += piece
                    sending.cancel()
    finally:
        sending.cancel()
        await asyncio.wait((sending,))
        writer.transport.abort()
    return answer


async def connected(stage: Stage) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", URL(stage.origin).port)
