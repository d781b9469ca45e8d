"""The settings of results; the chassis provides what every service needs."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field, SecretStr

from vbatch.chassis.settings import ServiceSettings, postgres_url_of


class ResultsSettings(ServiceSettings):
    """`VBATCH_RESULTS_<FIELD>`, or the table [results]."""

    section: ClassVar[str] = "results"
    needs_postgres: ClassVar[bool] = True

    postgres_url: SecretStr | None = postgres_url_of(section)
    port: int = Field(4085, ge=0, le=65535, description="Where health and metrics are served; 0 takes any free one.")
    lag_max: int = Field(
        50_000, ge=1, description="Events behind the log from which a projection that does not move is not ready."
    )

    nats_monitor_url: str | None = Field(
        None, description="The monitoring pages of the log's server, told on to Prometheus; nothing of it without."
    )

    sweep_seconds: float = Field(
        30.0, gt=0, description="How often dead letters are counted and bytes that nobody can ask for are taken."
    )
    sweep_grace_seconds: float = Field(
        600.0, ge=0, description="How long a file's bytes outlive its deletion or expiry, at least."
    )

    archive_grace_seconds: float = Field(
        3600.0,
        ge=0,
        description="How long after its end a batch moves to an archive; at once when the log is half full.",
    )

    retention_file: Path = Field(
        Path("retention.toml"), description="For how long files are kept; all of them where it is absent."
    )
    trace_requests_share: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Where traces are sent: which share of the requests has a trace of its own. Those that fail and "
        "the slowest of a batch have one as well; 0 makes none at all.",
    )
    standby: bool = Field(
        False, description="Wait, and take the lease once the results process that has it is silent for 2 s."
    )

    @property
    def results_folder(self) -> Path:
        return self.home / "results"
