from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.unit.cli.canned_gateway import STORY, CannedGateway
from vbatch.cli import sse
from vbatch.cli.client import connect
from vbatch.cli.event_decoding import event_of
from vbatch.cli.exits import Unreachable
from vbatch.cli.sse import ServerEvent


async def lines(*texts: bytes) -> AsyncIterator[bytes]:
    for text in texts:
        yield text


async def parsed(*texts: bytes) -> list[ServerEvent]:
    return [event async for event in sse.parse(lines(*texts))]


async def test_a_record_ends_at_the_empty_line():
    assert await parsed(b"id: 7\n", b"event: x\n", b"data: {}\n", b"\n") == [ServerEvent(7, "x", b"{}")]


async def test_comments_and_beats_are_no_records():
    assert await parsed(b": beat\n", b"\n", b"retry: 5\n", b"\n") == []


async def test_data_over_several_lines_is_one_text():
    assert await parsed(b"data:a\r\n", b"data:b\r\n", b"\r\n") == [ServerEvent(0, "message", b"a\nb")]


async def test_a_record_that_was_cut_off_is_dropped():
    assert await parsed(b"id: 7\n", b"data: {") == []


async def followed(gateway: CannedGateway) -> list[int]:
    seen: list[int] = []
    async with connect(gateway.url, None) as server:
        async for event in sse.follow(server, "batch_1"):
            seen.append(event.id)
            if len(seen) == len(STORY):
                return seen
    return seen


async def test_a_stream_that_is_cut_again_and_again_brings_every_event_once(
    gateway: CannedGateway, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sse, "RETRY_SECONDS", 0.0)
    gateway.cut_after = 2
    assert await followed(gateway) == [1, 2, 3, 4, 5, 6]
    assert gateway.resumed_after == [None, "2", "4"]


async def test_a_stream_that_never_brings_anything_is_given_up(gateway: CannedGateway, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sse, "RETRY_SECONDS", 0.0)
    gateway.cut_after = 0
    with pytest.raises(Unreachable, match="keeps ending early"):
        await followed(gateway)
    assert len(gateway.resumed_after) == sse.RETRIES_MAX + 1


def test_an_event_that_is_not_known_here_is_left_out():
    assert event_of(ServerEvent(1, "batch.invented_later", b"{}")) is None
