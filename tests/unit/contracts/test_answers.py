"""The note that takes the place of a removed answer cannot be mistaken for one, and knows how long it was."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, strategies as st

from vbatch.contracts.answers import REMOVAL_NOTE_BYTES_MAX, removal_note, removed_bytes, stand_in


@given(st.integers(min_value=2, max_value=1 << 27))
def test_a_note_tells_the_length_that_it_was_given(size: int):
    assert removed_bytes(removal_note(size)) == size
    assert len(removal_note(size)) <= REMOVAL_NOTE_BYTES_MAX


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'"#removed 7"', b"7", b"#removed ", b"#removed x", b"#removed " + b"7" * 99]
)
def test_what_is_no_note_is_an_answer(content: bytes):
    assert removed_bytes(content) is None


@given(st.integers(min_value=2, max_value=5000))
def test_what_stands_in_for_an_answer_is_json_of_its_length(size: int):
    assert len(stand_in(size)) == size
    assert isinstance(json.loads(stand_in(size)), str)
