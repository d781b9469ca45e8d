"""A process that comes to an armed place is struck there, and nowhere else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vbatch.chassis.failpoints import FOLDER_VARIABLE, Failpoint

pytestmark = pytest.mark.integration

PASSER_BY = """
from vbatch.chassis.failpoints import Failpoint, reached
reached(Failpoint.ORDER_DUE)
reached(Failpoint.ORDER_PUT)
"""
CLOCK_READER = """
from datetime import UTC, datetime
from vbatch.chassis.clock import utc_now
print((utc_now() - datetime.now(UTC)).total_seconds())
"""


def start(code: str, folder: Path | None) -> subprocess.Popen[bytes]:
    environment = os.environ | ({FOLDER_VARIABLE: str(folder)} if folder else {})
    return subprocess.Popen([sys.executable, "-c", code], env=environment)


def seconds_off(folder: Path | None) -> int:
    environment = os.environ | ({FOLDER_VARIABLE: str(folder)} if folder else {})
    return round(float(subprocess.check_output([sys.executable, "-c", CLOCK_READER], env=environment)))


def arm(folder: Path, place: Failpoint, number: str) -> None:
    (folder / f"{place}.armed").write_text(number)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_process_that_comes_to_an_armed_place_is_struck_there(tmp_path: Path, number: signal.Signals):
    arm(tmp_path, Failpoint.ORDER_PUT, number.name.removeprefix("SIG"))
    process = start(PASSER_BY, tmp_path)
    assert process.wait() == -number
    assert (tmp_path / f"{Failpoint.ORDER_PUT}.{process.pid}.hit").exists()
    assert (tmp_path / f"{Failpoint.ORDER_DUE}.reached").exists()


def test_of_many_processes_only_one_is_struck(tmp_path: Path):
    arm(tmp_path, Failpoint.ORDER_PUT, "KILL")
    ends = sorted(process.wait() for process in [start(PASSER_BY, tmp_path) for _ in range(4)])
    assert ends == [-signal.SIGKILL, 0, 0, 0]


def test_without_a_folder_a_place_is_passed(tmp_path: Path):
    assert start(PASSER_BY, None).wait() == 0
    assert list(tmp_path.iterdir()) == []


def test_a_clock_goes_wrong_by_what_the_folder_says(tmp_path: Path):
    (tmp_path / "clock").write_text("-90")
    assert (seconds_off(tmp_path), seconds_off(None)) == (-90, 0)
