"""The study of large fleets stands on the scheduler's own code: a fleet is full, decides, and every batch ends."""

from __future__ import annotations

import pytest

from benchmarks.scaling_study.decisions import Fleet
from benchmarks.scaling_study.fleets import fleet
from benchmarks.scaling_study.load import FLEETS, Load


def test_a_measured_fleet_is_full_and_takes_more_when_a_slice_ends():
    measured = Fleet(runners=3, batches=40)
    assert (len(measured.state.slices), measured.decide()) == (6, [])
    while len(measured.state.slices) == 6:
        measured.fold(measured.chunk(256))
    assert len(measured.decide()) == 1


def test_every_batch_of_a_simulated_fleet_ends():
    done = fleet(devices=2, batches=6)
    assert done.missed_share == 0.0 and done.decisions_a_second > 0 and done.loads_a_device >= 1


@pytest.mark.parametrize(("devices", "requests_a_day"), FLEETS)
def test_the_log_gets_fewer_events_than_requests_and_chunks_carry_them_all(devices: int, requests_a_day: int):
    load = Load(devices, requests_a_day)
    assert load.chunks_a_second <= load.events_a_second < load.requests_a_second
    assert load.requests_a_chunk * load.chunks_a_second == pytest.approx(load.requests_a_second, rel=0.2)
