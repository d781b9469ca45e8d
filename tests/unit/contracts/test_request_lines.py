"""The lines of an input file are the same for validation and for the final files, whatever blocks it arrives in."""

from __future__ import annotations

from hypothesis import given, strategies as st

from vbatch.contracts.lines import RawLine, RequestLines

BYTES_MAX = 16


def lines_of(*blocks: bytes) -> list[RawLine]:
    lines = RequestLines(BYTES_MAX)
    return [request for block in blocks for request in lines.feed(block)] + lines.end()


def test_lines_are_physical_and_blank_ones_hold_no_request():
    requests = lines_of(b"\xef\xbb\xbf{1}\r\n\r\n \n{\xe2\x80\xa8 4}\n{5", b"}")
    assert requests == [(1, 3, b"{1}"), (4, 12, b"{\xe2\x80\xa8 4}"), (5, 20, b"{5}")]


@given(st.binary(max_size=60), st.integers(1, 7))
def test_blocks_of_any_size_give_the_same_lines(content: bytes, size: int):
    blocks = [content[at : at + size] for at in range(0, len(content), size)]
    whole, parts = lines_of(content), lines_of(*blocks)
    assert [(line, offset, raw[: BYTES_MAX + 1].rstrip()) for line, offset, raw in whole] == [
        (line, offset, raw[: BYTES_MAX + 1].rstrip()) for line, offset, raw in parts
    ]


@given(st.lists(st.binary(max_size=BYTES_MAX).map(lambda raw: raw.replace(b"\n", b" ")), max_size=6))
def test_a_line_stands_where_its_offset_says(raws: list[bytes]):
    content = b"\n".join(raws)
    for line, offset, raw in lines_of(content):
        assert content[offset:].startswith(raw)
        assert content[:offset].count(b"\n") == line - 1


def test_a_line_that_is_too_long_comes_cut_and_the_next_one_stands_in_its_place():
    requests = lines_of(b"x" * 40, b"x" * 40, b"x\n{2}")
    assert [(line, offset, len(raw)) for line, offset, raw in requests] == [(1, 0, BYTES_MAX + 1 + 1), (2, 82, 3)]
