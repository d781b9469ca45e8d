"""What an owner has, against what it may have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from vbatch.contracts.access import NO_QUOTA, Quota, RateLimits
from vbatch.gateway.core.limit_params import read_limits
from vbatch.gateway.core.quotas import Usage, check_batches, check_bytes, check_priority, day_of, read_quota
from vbatch.gateway.core.rate_limits import Limited
from vbatch.gateway.core.refusals import Reason, Refusal

USAGE = Usage(unfinished_batches=3, unanswered_requests=500, stored_bytes=1_000, tokens_today=70)


def test_without_a_quota_everything_fits():
    check_batches(NO_QUOTA, USAGE, 1)
    check_bytes(NO_QUOTA, USAGE, 1 << 60)
    check_priority(NO_QUOTA, 100)


@pytest.mark.parametrize(
    ("quota", "words"),
    [
        (Quota(unfinished_batches_max=3), "unfinished batches: you have 3, and may have 3"),
        (Quota(unanswered_requests_max=499), "unanswered requests"),
        (Quota(tokens_per_day_max=70), "tokens a day"),
        (Quota(unfinished_batches_max=0), "unfinished batches"),
    ],
)
def test_a_batch_more_than_the_quota_is_refused_and_not_to_be_tried_again(quota: Quota, words: str):
    with pytest.raises(Refusal, match=words) as refused:
        check_batches(quota, USAGE, 1)
    answer = refused.value.answer
    assert (answer.status, answer.code, answer.headers["x-should-retry"]) == (429, "quota_exceeded", "false")


def test_below_the_quota_a_batch_fits():
    check_batches(Quota(unfinished_batches_max=4, unanswered_requests_max=501, tokens_per_day_max=71), USAGE, 1)


def test_bytes_fit_up_to_the_last_one():
    check_bytes(Quota(stored_bytes_max=1_500), USAGE, 500)
    with pytest.raises(Refusal, match="1000 of 1500 bytes are stored, 501 more do not fit"):
        check_bytes(Quota(stored_bytes_max=1_500), USAGE, 501)


def test_the_highest_priority_is_allowed_and_no_higher_one():
    check_priority(Quota(priority_max=10), 10)
    with pytest.raises(Refusal) as refused:
        check_priority(Quota(priority_max=10), 11)
    assert (refused.value.reason, refused.value.param) == (Reason.QUOTA_EXCEEDED, "priority")


def test_a_day_begins_at_midnight_utc():
    somewhere = datetime(2030, 1, 2, 1, 30, tzinfo=timezone(timedelta(hours=5)))
    assert day_of(somewhere) == datetime(2030, 1, 1, tzinfo=UTC)


def test_a_quota_is_set_whole():
    assert read_quota(b'{"priority_max":-5,"stored_bytes_max":null}') == Quota(priority_max=-5)
    assert read_quota(b"{}") == NO_QUOTA


@pytest.mark.parametrize(
    "body", [b'{"gpus_max":1}', b'{"stored_bytes_max":-1}', b'{"tokens_per_day_max":"many"}', b"[]"]
)
def test_a_quota_that_cannot_be_meant_is_refused(body: bytes):
    with pytest.raises(Refusal):
        read_quota(body)


def test_limits_change_where_they_are_named_and_not_pinned():
    before = RateLimits(creates_per_minute_max=5, reads_per_minute_max=6)
    after = read_limits(b'{"reads_per_minute_max":0}', before, ())
    assert after == RateLimits(creates_per_minute_max=5)
    with pytest.raises(Refusal, match="VBATCH_GATEWAY_READS_PER_MINUTE_MAX"):
        read_limits(b'{"reads_per_minute_max":0}', before, {Limited.READS: 9})
