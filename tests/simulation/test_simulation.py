"""The services keep their guarantees under seeded losses, repeats, crashes and zombies; and the checks detect bugs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.simulation.campaign import Report, campaign, planted
from tests.simulation.mutations import MUTATIONS
from tests.simulation.run import run_seed
from tests.support.paths import ROOT

pytestmark = pytest.mark.timeout(240)

SEEDS = range(1, 151)
REPLAYED = 2


@pytest.fixture(scope="module")
def report() -> Report:
    return campaign(SEEDS)


def test_every_promise_holds_under_every_seed(report: Report):
    assert report.failures == [], "replay one with: ./taskw test:sim -- --seed N --verbose"
    assert (report.lost, report.duplicated) == (0, 0)
    assert report.lines_in_files > 1000


def test_the_weather_is_bad_enough(report: Report):
    for service in ("scheduler", "gpu-runner", "results"):
        for what in ("killed", "paused", "zombies", "ended"):
            assert report.faults[f"{what}:{service}"] > 0


def test_batches_move_to_archives_and_machines_come_back_from_backups(report: Report):
    assert report.faults["purged"] > 100
    assert report.restored > 10


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_planted_bug_is_caught(name: str):
    mutation = MUTATIONS[name]
    with planted(name):
        found = next((it for seed in range(1, mutation.within + 1) if (it := run_seed(seed).violation)), None)
    assert found is not None, f"{mutation.says}, and {mutation.within} seeds do not show it"
    assert found.check in mutation.caught_by


def test_a_seed_replays_exactly_in_another_process():
    command = [sys.executable, "-m", "tests.simulation", "--seed", str(REPLAYED)]
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    told = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    run_seed(REPLAYED + 1)
    here = run_seed(REPLAYED)
    assert f"{here.events} events, {here.steps} steps, log {here.digest}" in told


def test_a_diary_does_not_change_what_happens():
    quiet, told = run_seed(REPLAYED), run_seed(REPLAYED, is_verbose=True)
    assert (quiet.digest, quiet.steps) == (told.digest, told.steps)
    assert told.diary
