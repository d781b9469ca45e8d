"""A short campaign: processes are struck, some at named places, while batches of all kinds run; nothing is lost."""

from __future__ import annotations

import pytest

from tests.chaos.disks import AVAILABLE, DISKS
from tests.chaos.faults import Fault, Means
from tests.chaos.running import chaos
from tests.support.small_disks import no_mounts_because
from vbatch.chassis.failpoints import Failpoint

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

SEED = 11
STRUCK = (
    Fault(Means.KILL, "postgres"),
    Fault(Means.KILL, "scheduler", Failpoint.ORDER_DUE),
    Fault(Means.RIVAL, "gpu-runner", Failpoint.CHUNK_PUBLISHED),
    Fault(Means.KILL, "nats"),
    Fault(Means.KILL, "results", Failpoint.ROWS_COPIED),
    Fault(Means.KILL, "results", Failpoint.ARCHIVE_RECORDED),
    Fault(Means.KILL, "guard"),
    Fault(Means.FREEZE, "gpu-runner", Failpoint.ENGINE_LOST),
)
FILLED = tuple(Fault(Means.DISK, disk) for disk in DISKS)
"""Struck as well where file systems can be mounted; where not, the report says so."""


def test_nothing_is_lost_and_nothing_comes_twice_whatever_is_struck():
    struck = STRUCK if no_mounts_because() else STRUCK + FILLED
    report = chaos(SEED, len(struck), faults=iter(struck))

    assert report.violations == []
    assert report.faults >= len(struck)
    assert (report.disks == AVAILABLE) is (struck != STRUCK)
    assert report.requests > 0 and report.started_after_outcome == 0
    assert report.interactive["whole: answered"] > 0 and report.interactive["stream: answered"] > 0
    assert report.rebuild_is_equal and report.orphans == 0
    assert report.failpoints_not_reached == []
