"""Both clients over the wire. The blocking one runs in a thread, beside the server that answers it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import pandas
import polars
import pyarrow
import pytest

from tests.unit.cli.canned_gateway import STORY, CannedGateway, canned_gateway
from tests.unit.client.cutting_gateway import CuttingGateway, cutting_gateway
from vbatch.client import (
    AsyncClient,
    BadUrl,
    BatchStatus,
    Client,
    Refused,
    RequestTemplate,
    TableError,
    Unreachable,
)
from vbatch.client.core import retries
from vbatch.client.transport import base_url, is_loopback

T = TypeVar("T")
BATCH = "batch_1"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(retries, "RETRY_SECONDS", 0.0)


@pytest.fixture
async def canned() -> AsyncIterator[CannedGateway]:
    async with canned_gateway() as running:
        yield running


@pytest.fixture
async def cutting() -> AsyncIterator[CuttingGateway]:
    async with cutting_gateway() as running:
        running.content = b"".join(map(answered, range(5)))
        yield running


def answered(number: int) -> bytes:
    body = {"choices": [{"message": {"content": f"text {number}"}}], "usage": {"prompt_tokens": number}}
    line = {"custom_id": f"id-{number}", "response": {"status_code": 200, "body": body}}
    return json.dumps(line).encode() + b"\n"


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def blocking(url: str, use: Callable[[Client], T]) -> T:
    def run() -> T:
        with Client(url) as client:
            return use(client)

    return await asyncio.to_thread(run)


async def test_events_that_are_cut_again_and_again_come_once(canned: CannedGateway):
    canned.cut_after = 2
    assert [event.status for event in await blocking(canned.url, lambda client: list(client.watch(BATCH)))][-1] is (
        BatchStatus.COMPLETED
    )
    assert canned.resumed_after == [None, "2", "4"]
    async with AsyncClient(canned.url) as client:
        assert len([progress async for progress in client.watch(BATCH)]) == len(STORY)


async def test_events_that_never_come_are_given_up(canned: CannedGateway):
    canned.cut_after = 0
    with pytest.raises(Unreachable, match="keeps ending early"):
        await blocking(canned.url, lambda client: list(client.events(BATCH)))
    assert len(canned.resumed_after) == retries.RETRIES_MAX + 1
    async with AsyncClient(canned.url) as client:
        with pytest.raises(Unreachable, match="keeps ending early"):
            await anext(client.events(BATCH))


async def test_answers_over_broken_connections_come_once(cutting: CuttingGateway):
    cutting.bytes_sent = len(answered(0)) + 7
    answers = await blocking(cutting.url, lambda client: list(client.results(BATCH)))
    assert [answer.text for answer in answers] == [f"text {number}" for number in range(5)]
    async with AsyncClient(cutting.url) as client:
        assert [answer.custom_id async for answer in client.results(BATCH)] == [f"id-{number}" for number in range(5)]


async def test_answers_continue_in_another_process(cutting: CuttingGateway):
    first = await blocking(cutting.url, lambda client: next(client.results(BATCH)))
    assert first.next_byte == len(answered(0))
    rest = await blocking(cutting.url, lambda client: list(client.results(BATCH, after_byte=first.next_byte)))
    assert [answer.custom_id for answer in rest] == [f"id-{number}" for number in range(1, 5)]


async def test_a_follower_waits_for_the_end_of_the_batch(cutting: CuttingGateway):
    cutting.is_over = False
    answers = await blocking(cutting.url, lambda client: list(client.results(BATCH, follow=True)))
    assert len(answers) == 5
    assert [path.split("?")[1] for path in cutting.asked] == [
        "after_byte=0",
        f"after_byte={len(cutting.content)}&follow=true",
        f"after_byte={len(cutting.content)}",
    ]


async def test_answers_that_never_come_are_given_up(cutting: CuttingGateway):
    cutting.bytes_sent = 3
    with pytest.raises(Unreachable, match="broke"):
        await blocking(cutting.url, lambda client: list(client.results(BATCH)))
    async with AsyncClient(cutting.url) as client:
        with pytest.raises(Unreachable, match="broke"):
            await anext(client.results(BATCH))


async def test_a_create_whose_answer_is_lost_is_sent_again_under_its_key(cutting: CuttingGateway):
    cutting.creates_lost = 2
    created = await blocking(cutting.url, lambda client: client.create("file-1", endpoint="/v1/embeddings"))
    assert (created.id, len(cutting.keys), len(set(cutting.keys))) == (BATCH, 3, 1)


async def test_answers_become_frames(cutting: CuttingGateway):
    frame = await blocking(cutting.url, lambda client: client.results(BATCH).to_pandas())
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame["answer"]) == [f"text {number}" for number in range(5)]
    assert frame["answer_input_tokens"].sum() == 10
    async with AsyncClient(cutting.url) as client:
        columns = await client.results(BATCH).to_polars()
        table = await client.results(BATCH).to_arrow()
    assert isinstance(columns, polars.DataFrame) and isinstance(table, pyarrow.Table)
    assert columns["custom_id"].to_list() == table["custom_id"].to_pylist() == list(frame["custom_id"])


async def test_a_frame_of_no_answers_has_its_columns(cutting: CuttingGateway):
    cutting.content = b""
    frames = [
        await blocking(cutting.url, lambda client: client.results(BATCH).to_pandas()),
        await blocking(cutting.url, lambda client: client.results(BATCH).to_polars()),
    ]
    assert [list(frame.columns)[:2] for frame in frames] == [["custom_id", "answer"]] * 2


async def test_answers_are_joined_to_what_was_submitted(cutting: CuttingGateway, tmp_path: Path):
    rows = [{"id": f"id-{number}"} for number in (4, 9)]
    report = await blocking(cutting.url, lambda client: client.join(BATCH, rows, tmp_path / "out.jsonl"))
    assert (report.rows, report.answered, report.missing, report.unmatched) == (2, 1, 1, 4)
    async with AsyncClient(cutting.url) as client:
        assert await client.join(BATCH, rows, tmp_path / "out.csv", answer_column="reply") == report
    assert (tmp_path / "out.csv").read_text().startswith("id,reply,reply_error,")


async def test_requests_that_never_ran_are_told_by_the_error_file(cutting: CuttingGateway, tmp_path: Path):
    """It is read over broken connections as well; what is recorded in both counts once."""
    errors = [
        {"custom_id": f"id-{number}", "error": {"code": "batch_cancelled", "message": "c"}} for number in (1, 7, 8)
    ]
    cutting.errors = b"".join(json.dumps(error).encode() + b"\n" for error in errors)
    cutting.bytes_sent = 170
    rows = [{"id": f"id-{number}"} for number in (1, 7, 8, 9)]
    report = await blocking(cutting.url, lambda client: client.join(BATCH, rows, tmp_path / "out.jsonl"))
    assert (report.answered, report.failed, report.missing) == (1, 2, 1)
    async with AsyncClient(cutting.url) as client:
        assert await client.join(BATCH, rows, tmp_path / "out.csv") == report


async def test_a_batch_that_failed_has_nothing_to_join(cutting: CuttingGateway, tmp_path: Path):
    cutting.more = {"status": "failed", "errors": {"data": [{"message": "No such model.", "line": 3}]}}
    with pytest.raises(TableError, match=r"batch_1 failed before any request ran: row 3: No such model\."):
        await blocking(cutting.url, lambda client: client.join(BATCH, [{"id": "a"}], tmp_path / "out.csv"))
    async with AsyncClient(cutting.url) as client:
        with pytest.raises(TableError, match="failed before any request ran"):
            await client.join(BATCH, [{"id": "a"}], tmp_path / "out.csv")
    assert names_in(tmp_path) == []


async def test_a_table_at_fault_sends_nothing(cutting: CuttingGateway):
    template = RequestTemplate(model="m", prompt="{body}")
    with pytest.raises(TableError):
        await blocking(cutting.url, lambda client: client.submit([{"text": "x"}], template))
    async with AsyncClient(cutting.url) as client:
        with pytest.raises(TableError):
            await client.submit([{"text": "x"}], template)
    assert cutting.asked == []


async def test_a_refusal_has_the_words_of_the_server(canned: CannedGateway):
    canned.refusal = (404, "No batch found.")
    with pytest.raises(Refused, match="No batch found") as caught:
        await blocking(canned.url, lambda client: client.batch("batch_x"))
    assert caught.value.status == 404
    canned.refusal = (503, "The event log cannot be reached.")
    async with AsyncClient(canned.url) as client:
        with pytest.raises(Unreachable, match="cannot answer now: The event log"):
            await client.batch("batch_x")


async def test_nobody_at_the_address_says_what_to_do():
    with pytest.raises(Unreachable, match="Start one with `vbatch up`"):
        await blocking("http://127.0.0.1:9", lambda client: client.batch(BATCH))
    with pytest.raises(BadUrl, match="is not a URL"):
        await blocking("nonsense", lambda client: client.batch(BATCH))


def test_the_environment_says_which_server(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VBATCH_URL", "http://elsewhere:1/v1/")
    with Client() as client:
        assert client.transport.url == "http://elsewhere:1"


def test_no_proxy_stands_before_this_machine():
    assert is_loopback("http://localhost:4080") and is_loopback("http://[::1]:1") and is_loopback("http://127.0.0.2")
    assert not is_loopback("http://10.0.0.1:4080") and not is_loopback("http://[::1")
    assert base_url("http://a:1/v1/") == base_url("http://a:1") == "http://a:1"
