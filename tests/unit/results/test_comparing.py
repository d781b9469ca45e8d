"""Where two files part is named by its line."""

from hypothesis import given, strategies as st

from vbatch.results.core.comparing import differing_line

LINES = b"one\ntwo\nthree\n"


def test_equal_texts_have_no_differing_line():
    assert differing_line(LINES, LINES) is None


def test_the_first_differing_line_is_named():
    assert differing_line(LINES, b"one\nTwo\nThree\n") == 2


def test_a_text_that_is_cut_off_differs_where_it_ends():
    assert differing_line(LINES, b"one\ntwo\n") == 3


def test_lines_above_count():
    assert differing_line(LINES, b"", lines_before=10) == 11


@given(st.lists(st.sampled_from([b"a", b"b", b"\n"]), max_size=30), st.integers(0, 29))
def test_a_flipped_byte_is_found_in_its_line(parts: list[bytes], at: int):
    text = b"".join(parts)
    if at < len(text):
        flipped = text[:at] + b"#" + text[at + 1 :]
        assert differing_line(text, flipped) == text.count(b"\n", 0, at) + 1
