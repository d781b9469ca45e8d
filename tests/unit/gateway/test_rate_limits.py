"""So many asks a minute, evenly given back, each owner for itself."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.support.events import NOON, OWNER
from vbatch.contracts.ids import OwnerId
from vbatch.gateway.core.rate_limits import RateLimit


def is_allowed(limit: RateLimit, seconds: float, owner: OwnerId = OWNER) -> bool:
    allowance = limit.take(owner, NOON + timedelta(seconds=seconds))
    assert allowance is not None
    return not allowance.wait_seconds


def test_without_a_limit_nothing_is_counted():
    assert RateLimit(0).take(OWNER, NOON) is None


def test_a_minutes_asks_may_come_at_once_and_come_back_one_by_one():
    limit = RateLimit(6)
    assert [is_allowed(limit, 0) for _ in range(7)] == [True] * 6 + [False]
    assert [is_allowed(limit, 9.9), is_allowed(limit, 10), is_allowed(limit, 10)] == [False, True, False]


def test_owners_do_not_use_up_each_others_asks():
    limit = RateLimit(1)
    assert [is_allowed(limit, 0), is_allowed(limit, 0, OwnerId("other"))] == [True, True]


def test_the_headers_tell_when_to_come_again():
    limit = RateLimit(2)
    allowances = [limit.take(OWNER, NOON) for _ in range(3)]
    first, _, third = [allowance.headers() for allowance in allowances if allowance]
    assert (first["x-ratelimit-limit-requests"], first["x-ratelimit-remaining-requests"]) == ("2", "1")
    assert "retry-after" not in first
    assert (third["x-ratelimit-remaining-requests"], third["retry-after"]) == ("0", "30")
    assert third["x-ratelimit-reset-requests"] == "60.000s"


@given(st.integers(1, 50), st.lists(st.floats(-100, 300), max_size=300))
def test_no_more_than_the_bucket_and_its_refill_is_ever_allowed(per_minute: int, steps: list[float]):
    limit, at, forward, allowed = RateLimit(per_minute), 0.0, 0.0, 0
    for step in steps:
        at += step
        forward += max(step, 0.0)
        allowed += is_allowed(limit, at)
    assert allowed <= per_minute + forward * per_minute / 60 + 1
