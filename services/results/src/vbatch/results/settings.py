"""The settings of results; what every service needs comes from the chassis."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from vbatch.chassis.settings import ServiceSettings


class ResultsSettings(ServiceSettings):
    """`VBATCH_RESULTS_<FIELD>`, or the table [results]."""

    section: ClassVar[str] = "results"
    needs_postgres: ClassVar[bool] = True

    port: int = Field(4085, ge=0, le=65535, description="Where health and metrics are served; 0 takes any free one.")
    lag_max: int = Field(
        50_000, ge=1, description="Events behind the log from which a projection that does not move is not ready."
    )

    @property
    def results_folder(self) -> Path:
        return self.home / "results"
