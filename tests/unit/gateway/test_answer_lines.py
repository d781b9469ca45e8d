from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from vbatch.chassis.blobs import open_blobs
from vbatch.gateway.adapters import input_lines
from vbatch.gateway.adapters.input_lines import InputLines
from vbatch.gateway.core.answer_lines import (
    HEAD_BYTES,
    SERIES_POINTS_MAX,
    SHOWN_BYTES_MAX,
    ChunkRecord,
    parse_lines_params,
    series_of,
    shown_line,
)
from vbatch.gateway.core.refusals import Refusal

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def chunks(*seconds: int) -> tuple[list[ChunkRecord], dict[int, datetime]]:
    records = [ChunkRecord(index, completed=2, failed=1, output_tokens=10) for index in range(len(seconds))]
    return records, {index: NOON + timedelta(seconds=at) for index, at in enumerate(seconds)}


def test_answers_are_counted_by_the_second_they_came_in():
    series = series_of(*chunks(0, 0, 3))
    assert (series.step_seconds, series.completed, series.failed) == (1, [4, 0, 0, 2], [2, 0, 0, 1])
    assert series.starts_at == int(NOON.timestamp()) and series.output_tokens == [20, 0, 0, 10]


def test_a_long_batch_has_longer_steps_and_loses_no_answer():
    series = series_of(*chunks(*range(0, 40_000, 50)))
    assert len(series.completed) <= SERIES_POINTS_MAX
    assert sum(series.completed) == 2 * 800


def test_a_chunk_without_a_time_waits_for_the_next_look():
    records, times = chunks(0, 1)
    assert series_of(records, {0: times[0]}).completed == [2]
    assert series_of(records, {}).starts_at is None


def test_a_line_is_shown_as_json_or_as_the_beginning_of_its_text():
    line = shown_line(3, b'{"a": 1}\n', b"{" + b"x" * (SHOWN_BYTES_MAX + 1))
    assert line.request is not None and bytes(line.request) == b'{"a": 1}' and line.request_head is None
    assert line.answer is None and line.answer_head is not None and len(line.answer_head) == HEAD_BYTES


@pytest.mark.parametrize(
    "query", [{"outcome": "good"}, {"limit": "500"}, {"after_line": "-1"}, {"custom_id": "x" * 257}]
)
def test_an_ask_out_of_bounds_is_refused(query):
    with pytest.raises(Refusal):
        parse_lines_params(query)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven bytes a block, so that lines begin, end and lie across blocks in every way."""
    monkeypatch.setattr(input_lines, "BLOCK_BYTES", 7)


@pytest.mark.parametrize(
    "text", [b"", b"a\nbb\n\nccc", b"a long first line\nb\n", b"\n" * 20, b"x" * 40, b"1234567\n89\n"]
)
async def test_any_line_of_a_file_is_found_by_its_number(tmp_path: Path, small_blocks: None, text: bytes):
    (tmp_path / "input").write_bytes(text)
    reader = InputLines(open_blobs(tmp_path.as_uri()))
    expected = text.split(b"\n")
    if expected[-1] == b"":
        expected.pop()
    wanted = range(1, len(expected) + 3)

    found = await reader.read("input", len(text), wanted, 1_000)
    assert [found[line] for line in sorted(found)] == expected
    for line in wanted:
        alone = await reader.read("input", len(text), [line], 1_000)
        assert alone == ({line: expected[line - 1]} if line <= len(expected) else {})


async def test_a_long_line_is_cut(tmp_path: Path):
    (tmp_path / "input").write_bytes(b"short\n" + b"x" * 5_000 + b"\nend\n")
    reader = InputLines(open_blobs(tmp_path.as_uri()))
    assert await reader.read("input", 5_011, [2, 3], 100) == {2: b"x" * 100, 3: b"end"}
