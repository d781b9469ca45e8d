"""Settings of the local stack: the folder of its state and the ports of its programs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from vbatch.chassis.settings import ServiceSettings, file_table
from vbatch.local import nats, postgres

READY_SECONDS_MAX = 90.0


def labeling_marker(home: Path) -> Path:
    """Return the file that exists while the stack of this home runs with Label Studio."""
    return home / "run" / "labeling"


def monitoring_marker(home: Path) -> Path:
    """Return the file that exists while the stack of this home runs with monitoring, so that every command knows."""
    return home / "run" / "monitoring"


WORK_NICENESS = 5
"""Enough that an answer does not wait behind work; the work still gets its share of a busy machine."""


def _port_of(section: str, default: int) -> Callable[[], int]:
    """Return the port that the service itself will read from its table in the settings file."""
    return lambda: file_table(section).get("port", default)


def _service_port(section: str, default: int) -> int:
    port: int = Field(
        default_factory=_port_of(section, default),
        validate_default=True,
        ge=1,
        le=65535,
        description=f"The port that `vbatch up` gives the {section.replace('_', '-')}.",
    )
    return port


def _certificate_of(section: str) -> Callable[[dict[str, Any]], Path | None]:
    """Return the certificate that the service itself will read: its own, or the one for all."""
    return lambda data: file_table(section).get("tls_certificate_file", data["tls_certificate_file"])


class LocalSettings(ServiceSettings):
    """If VBATCH_NATS_URL or VBATCH_POSTGRES_URL is set, that server is used and none is started here."""

    section: ClassVar[str] = "local"

    gateway_port: int = _service_port("gateway", 4080)
    console_port: int = _service_port("console", 4081)
    scheduler_port: int = _service_port("scheduler", 4083)
    gpu_runner_port: int = _service_port("gpu_runner", 4084)
    results_port: int = _service_port("results", 4085)
    notifier_port: int = _service_port("notifier", 4086)
    labeler_port: int = _service_port("labeler", 4087)
    tls_certificate_file: Path | None = Field(default=None, description="The certificate of every public service.")
    gateway_tls_certificate_file: Path | None = Field(
        default_factory=_certificate_of("gateway"), description="With it `vbatch up` asks the gateway over HTTPS."
    )
    console_tls_certificate_file: Path | None = Field(
        default_factory=_certificate_of("console"), description="With it `vbatch up` asks the console over HTTPS."
    )
    nats_port: int = Field(default=nats.PORT, ge=1, le=65535, description="The port of the embedded event log.")
    nats_monitor_port: int = Field(
        default=nats.MONITOR_PORT, ge=1, le=65535, description="The port of the event log's own monitoring pages."
    )
    postgres_port: int = Field(
        default=postgres.PORT, ge=1, le=65535, description="The port of the embedded PostgreSQL."
    )
    prometheus_port: int = Field(default=4222, ge=1, le=65535, description="The port of Prometheus.")
    node_exporter_port: int = Field(default=4224, ge=1, le=65535, description="The port of the node exporter.")
    alertmanager_port: int = Field(default=4226, ge=1, le=65535, description="The port of Alertmanager.")
    monitoring: bool = Field(
        default_factory=lambda data: monitoring_marker(data["home"]).exists(),
        description="Run Prometheus, Alertmanager and the node exporter, too; by default as this stack was brought up.",
    )
    label_studio_port: int = Field(default=4115, ge=1, le=65535, description="The port of Label Studio.")
    labeling: bool = Field(
        default_factory=lambda data: labeling_marker(data["home"]).exists(),
        description="Run Label Studio and the labeler, too; by default as this stack was brought up.",
    )
    label_studio_program: Path = Field(
        default=Path(".tools/label-studio/bin/label-studio"), description="Where Label Studio is installed."
    )
    scrape_seconds: int = Field(default=15, ge=1, le=60, description="The time between two scrapes of a service.")
    monitoring_folder: Path = Field(
        default=Path("deploy/monitoring"), description="The configuration of Prometheus, its rules, and Alertmanager's."
    )
    ready_seconds_max: float = Field(
        default=READY_SECONDS_MAX, gt=0, description="How long `vbatch up` waits for each program to become ready."
    )
    work_niceness: int = Field(
        default=WORK_NICENESS,
        ge=0,
        le=19,
        description="The niceness of the scheduler, the runner with its engine, and results; 0 gives way to nobody.",
    )

    @property
    def gateway_url(self) -> str:
        """The URL at which this machine reaches the API of this stack."""
        return _url(self.gateway_tls_certificate_file, self.gateway_port)

    @property
    def console_url(self) -> str:
        return _url(self.console_tls_certificate_file, self.console_port)

    @property
    def has_own_nats(self) -> bool:
        """Whether the log is on a server that this stack does not start."""
        return "nats_url" in self.model_fields_set

    @property
    def has_own_postgres(self) -> bool:
        """Whether the read model is on a server that this stack does not start."""
        return "postgres_url" in self.model_fields_set

    @property
    def log_limit(self) -> int:
        """The maximum size of this stack's log, on its disk."""
        return self.log_bytes_max if self.has_own_nats else nats.log_bytes_max(self.home / "nats", self.log_bytes_max)

    @property
    def log_url(self) -> str:
        """The address at which the services find the event log."""
        return self.nats_url if self.has_own_nats else f"nats://{nats.HOST}:{self.nats_port}"


def _url(certificate_file: Path | None, port: int) -> str:
    return f"http://127.0.0.1:{port}" if certificate_file is None else f"https://localhost:{port}"
