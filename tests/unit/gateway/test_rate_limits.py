"""So many asks a minute, evenly given back, each owner for itself."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given, strategies as st

from tests.support.events import NOON, OWNER
from vbatch.contracts.access import RateLimits
from vbatch.contracts.ids import OwnerId
from vbatch.gateway.core.access import Access
from vbatch.gateway.core.api_keys import NO_KEYS
from vbatch.gateway.core.rate_limits import HOLDERS_MAX, KeyLimits, Limited, RateLimit


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


def test_a_changed_limit_counts_at_once_and_keeps_what_was_used():
    limit = RateLimit(10)
    assert [is_allowed(limit, 0) for _ in range(10)] == [True] * 10
    limit.per_minute = 600
    assert [is_allowed(limit, 0), is_allowed(limit, 0.1), is_allowed(limit, 0.1)] == [False, True, False]
    limit.per_minute = 0
    assert limit.take(OWNER, NOON) is None


def test_what_was_too_much_is_waited_for_before_the_next_ask():
    limit = RateLimit(60)
    limit.charge(OWNER, 90, NOON)
    allowance = limit.look(OWNER, NOON)
    assert allowance is not None and (allowance.remaining, allowance.wait_seconds) == (0, 31.0)
    later = limit.look(OWNER, NOON + timedelta(seconds=31))
    assert later is not None and later.wait_seconds == 0.0


def test_addresses_without_end_do_not_fill_the_memory():
    limit = RateLimit(1)
    for number in range(HOLDERS_MAX + 10):
        limit.charge(str(number), 1, NOON)
    assert len(limit._buckets) == HOLDERS_MAX
    assert limit.look(str(HOLDERS_MAX), NOON).wait_seconds > 0  # type: ignore[union-attr]  # it is limited


def test_the_settings_win_over_the_log():
    access = Access(NO_KEYS, is_local=True)
    access.limits = RateLimits(creates_per_minute_max=5, reads_per_minute_max=6)
    limits = KeyLimits(access, {Limited.CREATES: 1})
    assert [limits.of(limited).per_minute for limited in Limited] == [1, 0, 6, 0]
