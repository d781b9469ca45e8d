"""The short form of `./taskw test:lifetime`: the smallest log, and batches that would fill it half as much again."""

from __future__ import annotations

import pytest

from tests.lifetime.living import Plan, live

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

SHORT = Plan(batches=6, requests=1_000, log_mib=32, answer_bytes=8_000, sweep_seconds=0.5, batch_seconds_max=120)
START_SECONDS_MORE = 10.0
"""A start after the last batch may take so much longer than after the first, on a machine with other work."""


def test_a_log_that_is_smaller_than_its_batches_never_fills_up():
    report = live(SHORT)
    assert report.faults == []
    assert report.appended_mib > SHORT.log_mib, "the batches would have fitted anyway"
    assert report.fullest_mib < 0.9 * SHORT.log_mib
    assert report.archive_count > 0
    for name, (first, last) in report.start_seconds.items():
        assert last < first + START_SECONDS_MORE, f"{name} starts slower with every batch"
    assert report.is_equal
