"""Whoever adds a service meets this test: each list that has to name it does."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection

import pytest
import yaml

from deploy.monitoring.metrics_reference import described
from documentation.settings_page import SERVICES as CONFIGURED
from tests.support.paths import ROOT
from vbatch.gateway.core.service_logs import SERVICES as LOGGED
from vbatch.local import container_secrets, nats_users, systemd
from vbatch.local.monitoring import prometheus_config
from vbatch.local.programs import LABELER, SERVICES
from vbatch.local.settings import LocalSettings
from vbatch.notifier.core.addresses import OWN_PORTS

ALL = {path.name for path in (ROOT / "services").iterdir() if (path / "pyproject.toml").is_file()}
WRITERS = ALL - {"console"}
"""The console has no key for the log, and no secret."""
PROMETHEUS = ROOT / "deploy/monitoring/prometheus"


def text(path: str) -> str:
    return (ROOT / path).read_text()


def of_the_supervisor() -> Collection[str]:
    return {service.name for service in (*SERVICES, LABELER)}


def of_compose() -> Collection[str]:
    return set(yaml.safe_load(text("deploy/compose/compose.yaml"))["services"])


def of_the_image() -> Collection[str]:
    counted = re.findall(r"\./services/([a-z-]+)", text("deploy/compose/Dockerfile"))
    return {name for name in counted if counted.count(name) == 2}  # in the image of services and that of a GPU


def of_systemd() -> Collection[str]:
    return {name.removeprefix("vbatch-").removesuffix(".service") for name in systemd.units(systemd.table())}


def of_prometheus() -> Collection[str]:
    return {job["job_name"] for job in yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]}


def of_the_local_prometheus() -> Collection[str]:
    settings = LocalSettings(labeling=True, monitoring_folder=ROOT / "deploy/monitoring")
    return {job["job_name"] for job in prometheus_config(settings)["scrape_configs"]}


def of_the_alert_that_a_service_is_down() -> Collection[str]:
    groups = yaml.safe_load((PROMETHEUS / "rules/alerts.yml").read_text())["groups"]
    rule = next(rule for group in groups for rule in group["rules"] if rule["alert"] == "ServiceDown")
    return set(re.findall(r"[a-z-]+", " ".join(re.findall(r'job=~?"([^"]+)"', rule["expr"]))))


def of_the_page_of_metrics() -> Collection[str]:
    return {metric.service for metric in described()}


def of_the_page_of_settings() -> Collection[str]:
    return {settings.section.replace("_", "-") for settings in CONFIGURED}


def of_the_table_of_processes() -> Collection[str]:
    return set(re.findall(r"^\| ([a-z-]+) \|", text("docs/architecture.md"), re.MULTILINE))


def of_the_logs_that_can_be_asked_for() -> Collection[str]:
    return LOGGED


LISTS = (
    of_the_supervisor,
    of_compose,
    of_the_image,
    of_systemd,
    of_prometheus,
    of_the_local_prometheus,
    of_the_alert_that_a_service_is_down,
    of_the_page_of_metrics,
    of_the_page_of_settings,
    of_the_table_of_processes,
    of_the_logs_that_can_be_asked_for,
)


def name_of(listed: Callable[[], Collection[str]]) -> str:
    return listed.__name__


@pytest.mark.parametrize("listed", LISTS, ids=name_of)
def test_every_service_stands_in_the_list(listed: Callable[[], Collection[str]]):
    assert ALL - set(listed()) == set()


def test_every_service_of_the_log_has_a_key_of_its_own():
    assert WRITERS - {user.name for user in nats_users.users()} == set()
    assert WRITERS - {reader.folder for reader in container_secrets.READERS} == set()


def test_a_webhook_reaches_no_port_of_this_server(monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in os.environ if name.startswith("VBATCH_")]:
        monkeypatch.delenv(name)
    published = {int(port) for port in re.findall(r':(\d{4}):\d+"', text("deploy/compose/compose.yaml"))}
    local = {port for name, port in LocalSettings().model_dump().items() if name.endswith("_port")}
    assert (published | local) - OWN_PORTS == set()
