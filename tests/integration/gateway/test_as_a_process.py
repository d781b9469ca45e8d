"""What shows only from outside: the gateway as its own process while the parts it stands on hang, die and come back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from tests.integration.gateway.processes import stack
from tests.integration.results.stage import eventually
from vbatch.contracts.ids import BatchId
from vbatch.contracts.subjects import batch_events

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

ASK = {"input_file_id": "file-x", "endpoint": "/v1/chat/completions", "completion_window": "24h"}
TRACE = "0af7651916cd43dd8448eb211c80319c"


async def test_it_answers_503_while_postgres_hangs_and_goes_on_after_it(tmp_path: Path):
    async with stack(tmp_path) as up:
        with hanging(up.postgres.pid):
            await up.ready(503)
            answers = await asyncio.gather(*(up.ask("GET", "/v1/batches") for _ in range(20)))
        await up.ready()
        created = await up.ask("POST", "/v1/batches", json=ASK)
        listed = await up.ask("GET", "/v1/batches")

    assert {answer.status for answer in answers} == {503}
    assert all("Retry-After" in answer.headers and answer.error["type"] == "server_error" for answer in answers)
    assert [batch["id"] for batch in listed.json["data"]] == [created.json["id"]]
    assert "Traceback" not in up.log_text("gateway")


async def test_without_nats_it_reads_on_and_writes_again_when_it_is_back(tmp_path: Path):
    async with stack(tmp_path) as up:
        up.nats.kill()
        await up.ready(503)
        read = await up.ask("GET", "/v1/batches")
        refused = await up.ask("POST", "/v1/batches", json=ASK)
        await up.nats.start()
        await up.ready()
        accepted = await up.ask("POST", "/v1/batches", json=ASK)

    assert (read.status, accepted.status) == (200, 200)
    assert (refused.status, refused.error["type"]) == (503, "server_error")
    assert "Retry-After" in refused.headers


async def test_a_cancel_that_nobody_projects_is_recorded_and_answered_later(tmp_path: Path):
    async with stack(tmp_path, VBATCH_GATEWAY_OWN_WRITE_SECONDS_MAX="0.5") as up:
        batch_id = (await up.ask("POST", "/v1/batches", json=ASK)).json["id"]
        up.end("results")
        answer = await up.ask("POST", f"/v1/batches/{batch_id}/cancel")
        assert (answer.status, "Retry-After" in answer.headers) == (503, True)
        up.start("results")

        async def is_cancelling() -> bool:
            return bool((await up.ask("GET", f"/v1/batches/{batch_id}")).json["status"] == "cancelling")

        await eventually(is_cancelling)


async def test_a_stop_ends_open_streams_and_says_nothing_bad(tmp_path: Path):
    async with stack(tmp_path) as up:
        batch_id = (await up.ask("POST", "/v1/batches", json=ASK)).json["id"]
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{up.origin}/v1/batches/{batch_id}/events") as response:
                await response.content.readline()
                code = await asyncio.to_thread(up.end, "gateway")
                await response.read()  # ends: the server closed it in good order

    assert code == 0
    assert "Traceback" not in up.log_text("gateway")


async def test_one_trace_goes_from_http_into_the_log(tmp_path: Path):
    spans: list[bytes] = []
    async with await asyncio.start_server(_collector(spans), "127.0.0.1", 0) as collector:
        port = collector.sockets[0].getsockname()[1]
        async with stack(tmp_path, VBATCH_OTLP_ENDPOINT=f"http://127.0.0.1:{port}") as up:
            parent = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
            batch_id = (await up.ask("POST", "/v1/batches", json=ASK, headers=parent)).json["id"]
            record = await up.journal.log.last(batch_events(BatchId(batch_id)))

            async def is_exported() -> bool:
                return any(bytes.fromhex(TRACE) in span for span in spans)

            await eventually(is_exported)

    assert record is not None
    assert TRACE in record.headers["traceparent"]


@contextmanager
def hanging(pid: int) -> Iterator[None]:
    """The process and its children neither run nor go away: worse than dead."""
    server = psutil.Process(pid)
    family = [server, *server.children(recursive=True)]
    for process in family:
        process.suspend()
    try:
        yield
    finally:
        for process in family:
            process.resume()


def _collector(bodies: list[bytes]) -> Any:
    async def collect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        bodies.append(await reader.readexactly(int(length[1])) if length else b"")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    return collect
