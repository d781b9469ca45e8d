"""The head and the body of an answer leave together; nothing is held for longer than a turn of the event loop."""

from __future__ import annotations

import asyncio

import pytest

from vbatch.gateway.adapters.http.joined_writes import JOINED_BYTES_MAX, JoinedWrites

HEAD, BODY = b"HTTP/1.1 200 OK\r\n\r\n", b"{}"
LARGE = b"x" * (JOINED_BYTES_MAX + 1)


class Wire(asyncio.Transport):
    """Keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []

    def write(self, data: object) -> None:
        assert isinstance(data, bytes)
        self.sent.append(data)

    def close(self) -> None:
        self.sent.append(b"<closed>")


@pytest.fixture
async def wire() -> Wire:
    return Wire()


def joined(wire: Wire) -> JoinedWrites:
    return JoinedWrites(wire, asyncio.get_running_loop())


async def test_head_and_body_are_one_write(wire: Wire):
    transport = joined(wire)
    transport.write(HEAD)
    transport.write(BODY)
    await asyncio.sleep(0)
    assert wire.sent == [HEAD + BODY]


async def test_a_head_whose_body_is_late_leaves_in_this_turn(wire: Wire):
    joined(wire).write(HEAD)
    await asyncio.sleep(0)
    assert wire.sent == [HEAD]


async def test_a_close_sends_what_is_held_first(wire: Wire):
    transport = joined(wire)
    transport.write(HEAD)
    transport.close()
    await asyncio.sleep(0)
    assert wire.sent == [HEAD, b"<closed>"]


async def test_a_large_piece_is_not_copied(wire: Wire):
    transport = joined(wire)
    transport.write(HEAD)
    transport.write(LARGE)
    transport.write(LARGE)
    assert [len(piece) for piece in wire.sent] == [len(HEAD), len(LARGE), len(LARGE)]
    assert wire.sent[1] is LARGE


async def test_the_order_is_kept_over_many_pieces(wire: Wire):
    transport = joined(wire)
    pieces = [str(number).encode() for number in range(7)]
    for piece in pieces:
        transport.write(piece)
    await asyncio.sleep(0)
    assert b"".join(wire.sent) == b"".join(pieces)
