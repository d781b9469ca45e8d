"""The systemd units follow the local stack's table of programs, deny what is not needed, and systemd accepts them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from vbatch.local import programs, run, systemd
from vbatch.local.commands import LocalTrouble
from vbatch.local.settings import LocalSettings

FOLDER = ROOT / "deploy/systemd"
COMMAND_SECONDS_MAX = 30.0
EXPOSURE_MAX = 3.0
"""systemd's own measure, from 0 to 10: below 4 it says OK; a unit that denies nothing has 9.6."""

pytestmark = pytest.mark.usefixtures("_settings_of_nobody")


@pytest.fixture
def _settings_of_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("VBATCH_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def written() -> dict[str, str]:
    return systemd.units(systemd.table())


def services(units: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in units.items() if name.endswith(".service")}


def test_the_units_of_the_repository_are_those_of_the_table(written: dict[str, str]):
    there = {path.name: path.read_text() for path in FOLDER.iterdir()}
    assert there == written, "./taskw docs writes them"


def test_every_program_has_a_unit_that_ends_it_as_supervisord_would(written: dict[str, str]):
    for program in systemd.table():
        unit = written[f"vbatch-{program.name}.service"]
        assert f"-m vbatch.local.run {program.name}\n" in unit
        assert f"KillSignal=SIG{program.stop_signal}\n" in unit
        assert f"TimeoutStopSec={program.stop_seconds_max}\n" in unit


def test_the_target_wants_all_but_the_backup_that_has_a_timer(written: dict[str, str]):
    wants = re.search(r"^Wants=(.*)$", written["vbatch.target"], re.MULTILINE)
    labeling = {"vbatch-labeler.service", "vbatch-label-studio.service"}
    assert wants and set(wants[1].split()) == services(written).keys() - {"vbatch-backup.service"} - labeling
    assert "vbatch-backup.timer" in written


def test_label_studio_and_the_labeler_have_a_target_of_their_own(written: dict[str, str]):
    wants = re.search(r"^Wants=(.*)$", written["vbatch-labeling.target"], re.MULTILINE)
    assert wants and wants[1].split() == ["vbatch-labeler.service", "vbatch-label-studio.service"]
    for name in wants[1].split():
        assert "\nPartOf=vbatch-labeling.target\n" in written[name]


def test_the_backup_may_write_where_it_writes_to(written: dict[str, str]):
    unit = written["vbatch-backup.service"]
    assert "Type=oneshot\nExecStart=/opt/vbatch/.venv/bin/python -m vbatch.cli backup /var/backups/vbatch\n" in unit
    assert "\nReadWritePaths=/var/backups/vbatch\n" in unit


def test_services_start_after_the_log_and_its_streams(written: dict[str, str]):
    after = re.search(r"^After=(.*)$", written["vbatch-gateway.service"], re.MULTILINE)
    assert after and after[1].split() == [
        "vbatch-prepare.service",
        "vbatch-nats.service",
        "vbatch-postgres.service",
        "vbatch-streams.service",
    ]


def test_a_program_is_found_by_name_or_refused_with_the_names_there_are():
    table = programs.programs(LocalSettings())
    assert run.program_named("gateway", table).command.argv[-2:] == ("-m", "vbatch.gateway")
    with pytest.raises(LocalTrouble, match=r"no program 'gate'.*nats, postgres, gateway"):
        run.program_named("gate", table)


@pytest.fixture
def analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze is not there")
    return found


def test_systemd_accepts_the_units(analyze: str, written: dict[str, str], tmp_path: Path):
    for name, text in written.items():
        (tmp_path / name).write_text(text.replace(str(systemd.PYTHON), sys.executable))
    argv = [
        analyze,
        "verify",
        "--man=no",
        "--recursive-errors=no",
        *(str(tmp_path / name) for name in written if name.endswith((".service", ".timer"))),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS_MAX)
    assert [line for line in done.stderr.splitlines() if "vbatch" in line] == []
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.service")))
def test_systemd_finds_little_exposed(analyze: str, name: str):
    argv = [analyze, "security", "--offline=true", "--no-pager", str(FOLDER / name)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS_MAX)
    exposure = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert exposure, done.stdout + done.stderr
    assert float(exposure[1]) < EXPOSURE_MAX
