"""What is no JSON is told with its cause and its place; a cut character is mended without moving a byte."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, strategies as st

from vbatch.contracts.json_faults import json_fault, with_whole_characters
from vbatch.contracts.lines import parse_request_line

ANY_TEXT = st.text(st.characters())  # cut characters too


def fault(raw: bytes) -> str:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError, RecursionError)) as refused:
        raw.decode()
        msgspec.json.decode(raw)
    return json_fault(raw, refused.value)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b'{"a": NaN}', "At column 7: NaN is not JSON; write null or a number."),
        ('{"ä": "NaN", "b": [-Infinity]}'.encode(), "At column 20: -Infinity is not JSON; write null or a number."),
        (b'{"a": "x\ty"}', "At column 9: the control character U+0009 must be escaped inside a string, as \\u0009."),
        ('{"ä": "'.encode() + b'\xff"}', "At column 8: byte 0xff is not UTF-8; save the file as UTF-8."),
        (b'{"a": "\\ud83d"}', "At column 8: \\ud83d is half of a surrogate pair, as when an emoji was cut in two."),
        (b'{"a": 1,}', "At column 9: expecting property name enclosed in double quotes."),
        (b"{'a': 1}", "At column 2: expecting property name enclosed in double quotes."),
        (b'{"a": "x', "At column 7: unterminated string starting."),
        (b'{"a": 1} {', "At column 10: extra data."),
        ("\ufeff{}".encode(), "At column 1: a byte order mark (U+FEFF) is not JSON."),
        (b"9" * 5_000, "Integer value out of range."),
        (b"[" + b"9" * 5_000 + b", NaN]", "At column 5004: NaN is not JSON; write null or a number."),
    ],
)
def test_the_cause_and_the_column_are_named(raw: bytes, words: str):
    assert fault(raw) == words


def test_of_a_document_nested_too_deep_the_deepest_place_is_named():
    depth = 100_000
    assert fault(b"[" * depth + b"]" * depth) == (
        f"At column {depth}: objects and arrays are nested {depth} deep, which is more than can be read."
    )


@given(st.binary())
def test_whatever_is_no_json_has_a_fault_of_one_sentence(raw: bytes):
    try:
        raw.decode()
        msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        assert json_fault(raw, error).endswith(".")
        assert "\n" not in json_fault(raw, error)


@given(ANY_TEXT)
def test_a_mended_document_is_what_javascript_sends_and_as_long_as_before(text: str):
    raw = json.dumps({"\\": text, "\\\\ud83d": "\\ud83d"}).encode()
    mended = with_whole_characters(raw)
    assert len(mended) == len(raw)
    expected = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert msgspec.json.decode(mended)["\\"] == expected


def test_a_request_whose_prompt_was_cut_inside_an_emoji_is_read_with_a_whole_character():
    line = rb'{"custom_id":"a","method":"POST","url":"/v1","body":{"messages":["\ud83d \ud83d\ude00 \\ud83d"]}}'
    assert bytes(parse_request_line(line).body) == rb'{"messages":["\ufffd \ud83d\ude00 \\ud83d"]}'
