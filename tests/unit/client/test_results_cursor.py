from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from vbatch.client.core import lines as line_bounds
from vbatch.client.core.lines import LineSplitter, LineTooLong
from vbatch.client.core.results_cursor import ResultsCursor
from vbatch.client.core.retries import RETRIES_MAX, Retries

CONTENTS = st.lists(st.binary(max_size=8).map(lambda line: line.replace(b"\n", b"")), max_size=12)


@given(CONTENTS, st.data())
def test_lines_are_the_same_however_the_bytes_are_cut(content: list[bytes], data: st.DataObject):
    whole = b"".join(line + b"\n" for line in content)
    splitter, place = LineSplitter(), 0
    found: list[bytes] = []
    while place < len(whole):
        size = data.draw(st.integers(1, len(whole) - place))
        found += splitter.feed(whole[place : place + size])
        place += size
    assert (found, splitter.taken) == (content, len(whole))


def test_a_line_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(line_bounds, "LINE_BYTES_MAX", 10)
    splitter = LineSplitter()
    with pytest.raises(LineTooLong):
        for _ in range(3):
            list(splitter.feed(b"12345"))


@given(CONTENTS, st.booleans(), st.data())
def test_every_answer_comes_once_whatever_breaks(content: list[bytes], follow: bool, data: st.DataObject):
    """A server whose file grows, whose answers are cut anywhere, and whose streams end early."""
    stored = b"".join(line + b"\n" for line in content)
    ends = [0]
    for line in content:
        ends.append(ends[-1] + len(line) + 1)
    cursor, seen, written = ResultsCursor(0, is_following=follow), [], 0
    for _ in range(60):
        if cursor.is_done:
            break
        written = len(stored) if not follow else data.draw(st.sampled_from([end for end in ends if end >= written]))
        is_over, start = written == len(stored), int(cursor.query.split("=")[1].split("&")[0])
        is_followed = "follow" in cursor.query
        sent = stored[start:written]
        cut = data.draw(st.integers(0, len(sent)))
        cursor.begin("false" if is_over else "true", None if is_followed else str(written))
        seen += [line for line, _ in cursor.feed(sent[:cut])]
        if cut < len(sent) and not is_followed and data.draw(st.booleans()):
            cursor.interrupt()
        elif not cursor.finish():
            cursor.interrupt()
    else:
        # Hypothesis may cut every answer to nothing; then the client itself gives up.
        assert seen == content[: len(seen)]
        return
    assert seen == content
    assert cursor.next_byte == len(stored)


def test_a_reader_that_follows_looks_again_after_its_stream_ended():
    cursor = ResultsCursor(0, is_following=True)
    assert cursor.query == "after_byte=0"
    cursor.begin("true", "0")
    assert cursor.finish() and cursor.query == "after_byte=0&follow=true"
    cursor.begin("true", None)
    assert [line for line, _ in cursor.feed(b"one\n")] == [b"one"]
    assert cursor.finish() and cursor.query == "after_byte=4" and not cursor.is_done
    cursor.begin("false", "4")
    assert cursor.finish() and cursor.is_done


def test_retries_end_and_begin_again_when_something_came():
    retries, trouble = Retries(), RuntimeError("away")
    pauses = [retries.pause(trouble) for _ in range(RETRIES_MAX)]
    assert pauses == sorted(pauses)
    retries.brought()
    assert retries.pause(trouble) == pauses[0]
    for _ in range(RETRIES_MAX - 1):
        retries.pause(trouble)
    with pytest.raises(RuntimeError, match="away"):
        retries.pause(trouble)
