"""Moments as operators write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.support.events import NOON
from vbatch.cli.exits import Misused
from vbatch.cli.time_spec import time_spec


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("15m", NOON - timedelta(minutes=15)),
        ("2h", NOON - timedelta(hours=2)),
        ("1d", NOON - timedelta(days=1)),
        ("2029-12-31T00:00:00Z", datetime(2029, 12, 31, tzinfo=UTC)),
        ("2029-12-31T02:00:00+02:00", datetime(2029, 12, 31, tzinfo=UTC)),
    ],
)
def test_a_moment_is_a_time_or_how_long_ago(text: str, when: datetime):
    assert time_spec(text, NOON) == when


def test_a_time_without_a_zone_is_of_this_machine():
    assert time_spec("2029-12-31", NOON) == datetime(2029, 12, 31).astimezone(UTC)


@pytest.mark.parametrize("text", ["", "soon", "15", "15w", "999999d"])
def test_anything_else_is_refused(text: str):
    with pytest.raises(Misused):
        time_spec(text, NOON)
