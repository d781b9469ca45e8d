"""Monitoring beside the local stack: its configuration is the shipped one with this stack's addresses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.support.paths import ROOT
from vbatch.local import monitoring
from vbatch.local.commands import LocalTrouble
from vbatch.local.programs import programs
from vbatch.local.settings import LocalSettings, monitoring_marker

SHIPPED = ROOT / "deploy" / "monitoring"


@pytest.fixture
def settings(tmp_path: Path) -> LocalSettings:
    (tmp_path / "run").mkdir()
    return LocalSettings(home=tmp_path, monitoring=True, monitoring_folder=SHIPPED, gateway_port=14080)


def test_every_service_is_scraped_where_this_stack_runs_it(settings: LocalSettings):
    jobs = {job["job_name"]: job for job in monitoring.prometheus_config(settings)["scrape_configs"]}
    services = {"gateway", "scheduler", "gpu-runner", "results", "notifier", "console"}
    assert set(jobs) == {*services, "engine", "node", "prometheus"}
    assert jobs["gateway"]["static_configs"] == [{"targets": ["127.0.0.1:14080"]}]
    assert jobs["engine"]["metrics_path"] == "/metrics/engine"


def test_the_rules_are_those_that_ship(settings: LocalSettings):
    [pattern] = monitoring.prometheus_config(settings)["rule_files"]
    assert {path.name for path in Path(pattern).parent.glob("*.yml")} == {"alerts.yml", "recording.yml"}


def test_a_scrape_ends_before_the_next_one_begins(tmp_path: Path):
    settings = LocalSettings(home=tmp_path, monitoring_folder=SHIPPED, scrape_seconds=2)
    config = monitoring.prometheus_config(settings)["global"]
    assert (config["scrape_interval"], config["scrape_timeout"]) == ("2s", "2s")


def test_everything_listens_on_loopback(settings: LocalSettings):
    started = [program for program in programs(settings) if program.stage == 2]
    assert [program.name for program in started] == ["node-exporter", "alertmanager", "prometheus"]
    for program in started:
        [address] = [each for each in program.command.argv if "listen-address" in each and "cluster" not in each]
        assert "127.0.0.1:" in address


def test_what_is_not_installed_is_named_with_how_to_install_it(
    settings: LocalSettings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(LocalTrouble, match=r"apt-get install .*prometheus"):
        monitoring.prepare(settings)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    settings = LocalSettings(home=tmp_path, monitoring_folder=tmp_path / "elsewhere")
    with pytest.raises(LocalTrouble, match="VBATCH_LOCAL_MONITORING_FOLDER"):
        monitoring.prometheus_config(settings)


def test_every_command_knows_while_the_stack_runs_with_monitoring(tmp_path: Path):
    assert not LocalSettings(home=tmp_path).monitoring
    marker = monitoring_marker(tmp_path)
    marker.parent.mkdir()
    marker.touch()
    assert LocalSettings(home=tmp_path).monitoring


def test_json_is_what_prometheus_reads_as_yaml(settings: LocalSettings):
    config = monitoring.prometheus_config(settings)
    assert yaml.safe_load(json.dumps(config, indent=1)) == config
