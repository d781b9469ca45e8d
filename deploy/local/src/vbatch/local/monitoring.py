"""Prometheus, Alertmanager and the node exporter beside the stack: their configuration and the commands that run them.

The configuration is that of deploy/monitoring, with the addresses of this stack in it. The programs are those of the
machine: no Python registry has any of the three.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vbatch.chassis.files import write_atomically
from vbatch.local.commands import Command, LocalTrouble
from vbatch.local.probes import answers_ok
from vbatch.local.settings import LocalSettings

HOST = "127.0.0.1"
PROMETHEUS = ("prometheus",)
ALERTMANAGER = ("prometheus-alertmanager", "alertmanager")
NODE_EXPORTER = ("prometheus-node-exporter", "node_exporter")
"""The names under which Debian, and the projects themselves, install each program."""
INSTALL = "apt-get install --no-install-recommends prometheus prometheus-alertmanager prometheus-node-exporter"
SCRAPE_TIMEOUT_SECONDS = 5
RETENTION_TIME, RETENTION_SIZE = "15d", "2GB"


def prepare(settings: LocalSettings) -> None:
    """Write the configuration of Prometheus and create its folders. LocalTrouble says what is missing."""
    for names in (PROMETHEUS, ALERTMANAGER, NODE_EXPORTER):
        _must_be_installed(names)
    for name in ("prometheus", "alertmanager"):
        (settings.home / name).mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomically(_config(settings), json.dumps(prometheus_config(settings), indent=1).encode())


def prometheus_command(settings: LocalSettings) -> Command:
    argv = (
        _program(PROMETHEUS),
        f"--config.file={_config(settings)}",
        f"--storage.tsdb.path={settings.home / 'prometheus'}",
        f"--storage.tsdb.retention.time={RETENTION_TIME}",
        f"--storage.tsdb.retention.size={RETENTION_SIZE}",
        f"--web.listen-address={HOST}:{settings.prometheus_port}",
        "--enable-feature=exemplar-storage",
    )
    return Command(argv, {}, None)


def alertmanager_command(settings: LocalSettings) -> Command:
    argv = (
        _program(ALERTMANAGER),
        f"--config.file={_folder(settings) / 'alertmanager' / 'alertmanager.yml'}",
        f"--storage.path={settings.home / 'alertmanager'}",
        f"--web.listen-address={HOST}:{settings.alertmanager_port}",
        "--cluster.listen-address=",
    )
    return Command(argv, {}, None)


def node_exporter_command(settings: LocalSettings) -> Command:
    return Command((_program(NODE_EXPORTER), f"--web.listen-address={HOST}:{settings.node_exporter_port}"), {}, None)


def answers(url: str) -> Callable[[], str]:
    """Return a check of `url`. Its page is for people, so nothing of it appears in the status."""
    look = answers_ok(url)

    def probe() -> str:
        look()
        return "answers"

    return probe


def prometheus_config(settings: LocalSettings) -> dict[str, Any]:
    """Return the shipped configuration with this stack's addresses. Jobs of programs that do not run here are left
    out."""
    import yaml  # every other command starts faster without it

    path = _folder(settings) / "prometheus" / "prometheus.yml"
    try:
        config: dict[str, Any] = yaml.safe_load(path.read_text())
    except OSError as error:
        raise LocalTrouble(f"{path} cannot be read ({error.strerror}): set VBATCH_LOCAL_MONITORING_FOLDER") from error
    addresses, interval = _addresses(settings), f"{settings.scrape_seconds}s"
    config["global"] |= {"scrape_interval": interval, "evaluation_interval": interval}
    config["global"]["scrape_timeout"] = f"{min(SCRAPE_TIMEOUT_SECONDS, settings.scrape_seconds)}s"
    config["rule_files"] = [str(path.parent / "rules" / "*.yml")]
    config["scrape_configs"] = [
        {**target, **_over_tls(settings, name), "static_configs": [{"targets": [addresses[name]]}]}
        for target in config["scrape_configs"]
        if (name := target["job_name"]) in addresses
    ]
    config["alerting"] = {
        "alertmanagers": [{"static_configs": [{"targets": [f"{HOST}:{settings.alertmanager_port}"]}]}]
    }
    return config


def _over_tls(settings: LocalSettings, name: str) -> Mapping[str, Any]:
    """Return the settings for a service that uses HTTPS. On loopback its certificate is not checked."""
    certificates = {
        "gateway": settings.gateway_tls_certificate_file,
        "console": settings.console_tls_certificate_file,
    }
    if certificates.get(name) is None:
        return {}
    return {"scheme": "https", "tls_config": {"insecure_skip_verify": True}}


def _addresses(settings: LocalSettings) -> Mapping[str, str]:
    """Return the address of each job."""
    ports = {
        "gateway": settings.gateway_port,
        "scheduler": settings.scheduler_port,
        "gpu-runner": settings.gpu_runner_port,
        "engine": settings.gpu_runner_port,
        "results": settings.results_port,
        "notifier": settings.notifier_port,
        "console": settings.console_port,
        "node": settings.node_exporter_port,
        "prometheus": settings.prometheus_port,
    }
    if settings.labeling:
        ports["labeler"] = settings.labeler_port
    return {target: f"{HOST}:{port}" for target, port in ports.items()}


def _folder(settings: LocalSettings) -> Path:
    return settings.monitoring_folder.absolute()


def _config(settings: LocalSettings) -> Path:
    return settings.home / "run" / "prometheus.yml"


def _program(names: tuple[str, ...]) -> str:
    """Return the path of the program; its first name if it is not installed, which `prepare` refuses to start."""
    return next((path for name in names if (path := shutil.which(name))), names[0])


def _must_be_installed(names: tuple[str, ...]) -> None:
    if not any(shutil.which(name) for name in names):
        raise LocalTrouble(
            f"--monitoring needs the program {names[0]}, which is not installed here. On Debian and Ubuntu: {INSTALL}"
        )
