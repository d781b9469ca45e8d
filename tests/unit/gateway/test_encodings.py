"""Compressed bodies come out as they were, in bounded pieces; bombs, cut streams and other encodings are refused."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import pytest
from backports import zstd
from hypothesis import given, strategies as st
from starlette.types import Message

from vbatch.gateway.adapters.http.encodings import FREE_BYTES, PIECE_BYTES_MAX, RATIO_MAX, Unpacking, unpacked
from vbatch.gateway.core.refusals import Refusal

PACK: Mapping[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstd.compress}
ENCODINGS = pytest.mark.parametrize("encoding", ["gzip", "zstd"])


def read(encoding: str, *parts: bytes) -> bytes:
    unpacking = Unpacking(encoding)
    content = b"".join(piece for part in parts for piece in unpacking.feed(part))
    unpacking.must_be_whole()
    return content


@ENCODINGS
@given(content=st.binary(max_size=2000), cuts=st.lists(st.integers(0, 2000), max_size=5))
def test_what_was_packed_comes_out_however_it_arrives(encoding: str, content: bytes, cuts: list[int]):
    packed = PACK[encoding](content)
    edges = [0, *sorted(min(cut, len(packed)) for cut in cuts), len(packed)]
    parts = [packed[start:end] for start, end in pairwise(edges)]
    assert read(encoding, *parts) == content


@ENCODINGS
def test_several_streams_behind_each_other_are_one_body(encoding: str):
    assert read(encoding, PACK[encoding](b"one, ") + PACK[encoding](b"two")) == b"one, two"


@ENCODINGS
def test_what_a_small_part_unpacks_to_comes_in_bounded_pieces(encoding: str):
    content = bytes(random.Random(1).choices(b"ab", k=3 * PIECE_BYTES_MAX))
    pieces = list(Unpacking(encoding).feed(PACK[encoding](content)))
    assert b"".join(pieces) == content
    assert max(map(len, pieces)) <= PIECE_BYTES_MAX


@ENCODINGS
def test_a_bomb_is_refused_before_it_is_unpacked(encoding: str):
    bomb = PACK[encoding](bytes(200 << 20))
    unpacked_bytes = 0
    with pytest.raises(Refusal, match="unpacks to more than 1000 times its size"):
        for piece in Unpacking(encoding).feed(bomb):
            unpacked_bytes += len(piece)
    assert unpacked_bytes <= FREE_BYTES + RATIO_MAX * len(bomb)


@ENCODINGS
def test_a_stream_that_is_cut_off_or_damaged_is_refused(encoding: str):
    packed = PACK[encoding](b"some text, long enough to have a middle")
    with pytest.raises(Refusal, match="ends in the middle"):
        read(encoding, packed[:-3])
    with pytest.raises(Refusal, match="not a file in a form"):
        read(encoding, b'{"plain": 1}')


async def received(encodings: str, messages: Sequence[Message]) -> list[Message]:
    waiting = iter(messages)

    async def receive() -> Message:
        return next(waiting)

    unpack = unpacked(receive, encodings)
    found = [await unpack()]
    while found[-1].get("more_body"):
        found.append(await unpack())
    return found


async def test_a_body_in_parts_ends_once_and_then_tells_of_the_clients_leaving():
    packed = gzip.compress(b"a body")
    parts = [
        {"type": "http.request", "body": packed[:5], "more_body": True},
        {"type": "http.request", "body": packed[5:], "more_body": False},
    ]
    found = await received("GZIP", parts)
    assert b"".join(message["body"] for message in found) == b"a body"
    assert [message["more_body"] for message in found] == [True, False]


async def test_an_empty_body_is_empty_whatever_its_encoding():
    assert await received("zstd", [{"type": "http.request", "body": b"", "more_body": False}]) == [
        {"type": "http.request", "body": b"", "more_body": False}
    ]


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip"])
async def test_another_encoding_is_refused_with_those_that_are_taken(encoding: str):
    with pytest.raises(Refusal) as refused:
        await received(encoding, [{"type": "http.request", "body": b"x", "more_body": False}])
    assert refused.value.answer.status == 415
    assert refused.value.headers == {"accept-encoding": "gzip, zstd"}
    assert "gzip, zstd" in refused.value.message
