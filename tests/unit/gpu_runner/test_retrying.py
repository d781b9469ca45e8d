"""Which answers are the last word, and how long an engine is left alone before it is asked again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st

from vbatch.gpu_runner.core.limits import Limits
from vbatch.gpu_runner.core.retrying import Tries, read_retry_after

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LIMITS = Limits(
    busy_retries_max=3,
    broken_retries_max=2,
    busy_pause_seconds=1.0,
    busy_pause_seconds_max=3.0,
    retry_after_seconds_max=60.0,
)


def pauses(status_code: int, retry_after: float | None = None) -> list[float]:
    tries, found = Tries(), []
    while (pause := tries.pause_before_next(status_code, retry_after, LIMITS)) is not None:
        found.append(pause)
    return found


@pytest.mark.parametrize("status_code", [429, 503, 529])
def test_a_busy_engine_is_asked_again_after_ever_longer_pauses(status_code: int):
    assert pauses(status_code) == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("status_code", [500, 502, 504])
def test_an_engine_that_broke_is_asked_again_a_few_times(status_code: int):
    assert pauses(status_code) == [1.0, 2.0]


@pytest.mark.parametrize("status_code", [200, 400, 401, 404, 408, 413, 422, 501])
def test_any_other_answer_stands(status_code: int):
    assert pauses(status_code) == []


def test_an_engine_that_says_when_is_taken_at_its_word_within_a_limit():
    assert pauses(503, retry_after=7.5) == [7.5] * 3
    assert pauses(429, retry_after=3_600.0) == [60.0] * 3


def test_reasons_are_counted_apart_and_pauses_together():
    tries = Tries()
    found = [tries.pause_before_next(status, None, LIMITS) for status in (500, 429, 500, 429, 500)]
    assert found == [1.0, 2.0, 3.0, 3.0, None]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("2", 2.0),
        (" 0.5 ", 0.5),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30.0),
        ("Thu, 01 Jan 2026 11:00:00 GMT", None),
        ("0", None),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("", None),
    ],
)
def test_a_pause_is_read_from_a_number_or_a_date(header: str | None, seconds: float | None):
    assert read_retry_after(header, NOON) == seconds


@pytest.mark.parametrize(
    "header",
    [
        "9" * 8_000_000,
        "1 Jan 99999999999999 1:1:1 GMT",
        "Mon, 99999999999999999999 Jan 2020 10:00:00 GMT",
        "Mon, 1 Jan 2020 10:00:00 +99999999999999999999",
        "nan",
        "1e999",
        ",",
    ],
)
def test_a_pause_that_no_clock_shows_is_none(header: str):
    assert read_retry_after(header, NOON) is None


@given(st.text(max_size=80))
def test_whatever_an_engine_says_of_a_pause_is_a_number_or_nothing(header: str):
    found = read_retry_after(header, NOON)
    assert found is None or 0 < found < float("inf")
