"""Spans as bars."""

from datetime import UTC, datetime, timedelta

from vbatch.cli.waterfall import BAR_COLUMNS, ROWS_MAX, left_out, rows
from vbatch.results.core.spans import Span

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def span(name: str, start: float, end: float | None, number: int = 0) -> Span:
    moments = [None if seconds is None else NOON + timedelta(seconds=seconds) for seconds in (start, end)]
    assert moments[0] is not None
    return Span(1, number, None, name, moments[0], moments[1], {"vbatch.model": "llama"})


WHOLE = [span("batch", 0, 100), span("wait", 0, 50, 1), span("slice", 50, 100, 2)]


def test_a_bar_lies_where_its_span_lies_in_the_whole():
    batch, wait, ran = rows(WHOLE, NOON)
    half = BAR_COLUMNS // 2
    assert batch.bar == "█" * BAR_COLUMNS
    assert wait.bar == "█" * half + " " * half
    assert ran.bar == " " * half + "█" * half


def test_a_moment_is_one_column_and_stays_inside():
    [_, moment] = rows([WHOLE[0], span("crash", 100, 100, 1)], NOON)
    assert moment.bar.count("█") == 1 and len(moment.bar) == BAR_COLUMNS


def test_what_goes_on_ends_now_and_says_so():
    [batch] = rows([span("batch", 0, None)], NOON + timedelta(seconds=10))
    assert batch.takes == "10.0 s so far"


def test_of_very_many_spans_the_longest_are_shown_in_their_order():
    slices = [span("slice", number, number + 1 + number % 2, number) for number in range(1, 200)]
    spans = [WHOLE[0], *slices]
    shown = rows(spans, NOON)
    assert len(shown) == ROWS_MAX and left_out(spans, shown) == 200 - ROWS_MAX
    assert [row.takes for row in shown[1:]] == ["2.0 s"] * (ROWS_MAX - 1)


def test_all_can_be_shown():
    spans = [WHOLE[0], *(span("slice", number, number + 1, number) for number in range(1, 200))]
    assert len(rows(spans, NOON, None)) == 200


def test_no_spans_are_no_rows():
    assert rows([], NOON) == []
