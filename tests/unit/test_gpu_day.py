"""The day with a GPU, as far as it can be told without one: what the script refuses, what it would run, and the table
that it fills."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.gpu_day import PAGE, PARTS
from benchmarks.gpu_day_study.table import ROWS, filled, table
from benchmarks.report import Figure
from tests.support.paths import ROOT

SCRIPT = ROOT / "benchmarks" / "gpu_day.sh"
SECONDS_MAX = 60.0
DAY_SECONDS_MAX = 12 * 60
FIGURES: dict[str, Figure] = {
    "gpu_name": "NVIDIA H200",
    "gpu_driver": "580.82",
    "fit_measured_gib": 9.81,
    "sleep_wakes": "6, 0",
}
"""Numbers of no measurement; they only have to arrive in their cells."""


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with the programs that the script needs and no nvidia-smi."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("sh", "dirname", "timeout", "cmp", "cat"):
        found = shutil.which(name)
        assert found, f"this machine has no {name}"
        (folder / name).symlink_to(found)
    return folder


def run(programs: Path, *arguments: str, script: Path = SCRIPT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(programs / "sh"), str(script), *arguments],
        env={"PATH": str(programs)},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS_MAX,
    )


def with_gpu(programs: Path) -> Path:
    """The driver's tool of a machine that has a GPU."""
    tool = programs / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: a card'\n")
    tool.chmod(0o755)
    return programs


def test_without_a_gpu_the_script_refuses_and_says_where_to_run_it(programs: Path):
    refused = run(programs)
    assert refused.returncode == 3
    assert refused.stderr.startswith("gpu_day: no GPU here")
    assert refused.stdout == ""


def test_a_dry_run_prints_every_part_and_the_table_and_runs_nothing(programs: Path):
    shown = run(programs, "--dry-run")
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert all(line.startswith("would run: ") for line in lines)
    assert [line.split()[-1] for line in lines] == [*PARTS, "table"]


def test_all_parts_together_end_within_twelve_minutes(programs: Path):
    lines = run(programs, "--dry-run").stdout.splitlines()
    limits = [int(line.split("--kill-after=20 ")[1].split()[0]) for line in lines if "timeout" in line]
    assert len(limits) == len(PARTS) and sum(limits) <= DAY_SECONDS_MAX


def test_where_nothing_is_installed_and_no_wheels_are_given_the_script_says_what_to_fetch(
    programs: Path, tmp_path: Path
):
    copied = tmp_path / "project" / "benchmarks" / "gpu_day.sh"
    copied.parent.mkdir(parents=True)
    shutil.copy(SCRIPT, copied)
    told = run(with_gpu(programs), script=copied)
    assert told.returncode == 1
    assert "./taskw setup setup:engine" in told.stderr
    assert "deploy/engine/requirements-gpu.lock" in told.stderr and "--wheels wheels" in told.stderr


def test_with_a_folder_of_wheels_nothing_is_fetched_from_an_index(programs: Path, tmp_path: Path):
    copied = tmp_path / "project" / "benchmarks" / "gpu_day.sh"
    copied.parent.mkdir(parents=True)
    shutil.copy(SCRIPT, copied)
    (tmp_path / "wheels").mkdir()
    shown = run(with_gpu(programs), "--dry-run", "--wheels", str(tmp_path / "wheels"), script=copied)
    assert shown.returncode == 0, shown.stderr
    assert f"--no-index --find-links {tmp_path / 'wheels'} uv" in shown.stdout
    assert "would run: deploy/engine/install .engine" in shown.stdout


@pytest.mark.parametrize("arguments", [("--wheels", "/nowhere"), ("--wheels",), ("--fast",)])
def test_arguments_that_mean_nothing_are_refused(programs: Path, arguments: tuple[str, ...]):
    refused = run(programs, *arguments)
    assert refused.returncode == 2 and refused.stderr.startswith("gpu_day: ")


def test_the_table_has_a_line_for_each_figure_and_admits_what_was_not_measured():
    lines = table(FIGURES, "2030-01-01T12:00:00+00:00").splitlines()
    assert lines[0] == "| NVIDIA H200, driver 580.82, 2030-01-01 | measured |"
    assert len(lines) == 2 + len(ROWS)
    assert "| memory of one model, measured | 9.81 GiB |" in lines
    assert "| memory of one model, calculated | not measured |" in lines


def test_the_page_has_a_place_for_the_table(tmp_path: Path):
    result = tmp_path / "gpu_day.json"
    result.write_text(json.dumps({"name": "gpu_day", "measured_at": "2030-01-01T12:00:00", "figures": FIGURES}))
    page = filled(PAGE.read_text(), result)
    assert "| NVIDIA H200, driver 580.82, 2030-01-01 | measured |" in page
    assert filled(page, result) == page


def test_the_result_of_another_benchmark_is_refused(tmp_path: Path):
    result = tmp_path / "swap.json"
    result.write_text(json.dumps({"name": "swap", "measured_at": "2030-01-01T12:00:00", "figures": {}}))
    with pytest.raises(ValueError, match="was not written by the day with a GPU"):
        filled(PAGE.read_text(), result)
