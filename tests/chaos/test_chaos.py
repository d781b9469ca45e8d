"""A short campaign: every kind of process is struck once while batches of all kinds run, and nothing is lost."""

from __future__ import annotations

import pytest

from tests.chaos.faults import Fault, Means
from tests.chaos.running import chaos

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

SEED = 11
STRUCK = (
    Fault(Means.KILL, "postgres"),
    Fault(Means.KILL, "scheduler"),
    Fault(Means.RIVAL, "gpu-runner"),
    Fault(Means.KILL, "nats"),
    Fault(Means.KILL, "results"),
    Fault(Means.KILL, "guard"),
)


def test_nothing_is_lost_and_nothing_comes_twice_whatever_is_struck():
    report = chaos(SEED, len(STRUCK), faults=iter(STRUCK))

    assert report.violations == []
    assert report.faults >= len(STRUCK)
    assert report.requests > 0 and report.started_after_outcome == 0
