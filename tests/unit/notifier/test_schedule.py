"""When a delivery is tried again: a pure rule with a clock of its own."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from tests.support.events import DELIVERY, NOON
from vbatch.contracts.webhooks import DeliveryFault
from vbatch.notifier.core.schedule import (
    JITTER,
    WAITS,
    Answer,
    Verdict,
    next_try,
    reason_to_disable,
    retry_after_seconds,
    verdict,
)

HOURS_MIN, HOURS_MAX = 68.0, 84.0
REFUSED = Answer(5, status_code=500)
RETRIED = [
    *(Answer(5, status_code=code) for code in (302, 400, 401, 404, 429, 500, 502, 503, 504)),
    *(Answer(5, fault=fault) for fault in DeliveryFault),
]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(1, status_code=200), Verdict.DELIVERED),
        (Answer(1, status_code=204), Verdict.DELIVERED),
        (Answer(1, status_code=410), Verdict.GONE),
        *((Answer(1, status_code=code), Verdict.RETRY) for code in (301, 302, 400, 401, 404, 429, 500, 502, 503, 504)),
        *((Answer(1, fault=fault), Verdict.RETRY) for fault in DeliveryFault),
    ],
)
def test_an_answer_means_one_thing(answer: Answer, expected: Verdict):
    assert verdict(answer) is expected


@given(st.text(min_size=1, max_size=40), st.sampled_from(RETRIED))
def test_tries_come_as_planned_more_or_less_and_end_within_three_and_a_half_days(delivery_id: str, answer: Answer):
    now, waits = NOON, []
    for tries in range(1, len(WAITS)):
        then = next_try(delivery_id, tries, answer, now)
        assert then is not None and then > now
        waits.append((then - now).total_seconds())
        now = then
    for wait, planned in zip(waits, WAITS[1:], strict=True):
        assert planned * (1 - JITTER) <= wait <= planned * (1 + JITTER)
    assert next_try(delivery_id, len(WAITS), answer, now) is None
    assert HOURS_MIN < (now - NOON) / timedelta(hours=1) < HOURS_MAX


def test_the_second_try_comes_after_five_seconds_more_or_less():
    then = next_try(DELIVERY, 1, REFUSED, NOON)
    assert then is not None and 4.5 <= (then - NOON).total_seconds() <= 5.5


def waited(code: int, retry_after: float | None) -> float:
    then = next_try(DELIVERY, 1, Answer(1, status_code=code, retry_after=retry_after), NOON)
    assert then is not None
    return (then - NOON).total_seconds()


def test_a_receiver_may_ask_for_more_time_but_for_a_day_at_most():
    assert waited(503, 600.0) == 600.0
    assert waited(503, 1.0) >= 4.5
    assert waited(503, 1e9) == 86_400.0
    assert waited(500, 600.0) < 6.0, "only those answers that say that a retry helps"


@pytest.mark.parametrize(
    ("text", "seconds"), [("120", 120.0), ("0", 0.0), ("soon", None), ("-1", None), ("9" * 40, None)]
)
def test_retry_after_is_a_number_of_seconds(text: str, seconds: float | None):
    assert retry_after_seconds({"retry-after": text}) == seconds


@pytest.mark.parametrize(
    ("answer", "in_a_row", "since", "is_given_up"),
    [
        (REFUSED, 19, NOON, False),
        (REFUSED, 20, NOON, True),
        (REFUSED, 2, NOON - timedelta(days=4, hours=23), False),
        (REFUSED, 2, NOON - timedelta(days=5), True),
        (Answer(1, status_code=410), 1, NOON, True),
    ],
)
def test_an_endpoint_is_given_up_after_many_failures_or_days(
    answer: Answer, in_a_row: int, since: datetime, is_given_up: bool
):
    assert (reason_to_disable(answer, in_a_row, since, NOON) is not None) is is_given_up
