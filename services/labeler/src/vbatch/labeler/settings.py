"""The settings of the labeler; what every service needs comes from the chassis."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field, SecretStr

from vbatch.chassis.settings import ServiceSettings


class LabelerSettings(ServiceSettings):
    """`VBATCH_LABELER_<FIELD>`, or the table [labeler]."""

    section: ClassVar[str] = "labeler"

    port: int = Field(4087, ge=0, le=65535, description="Where health, metrics and the bell are served; 0 takes any.")
    label_studio_url: str = Field("http://127.0.0.1:4115", description="Where Label Studio is.")
    label_studio_token: SecretStr = Field(
        SecretStr(""), description="A personal access token of Label Studio, or a legacy token where they are enabled."
    )
    label_studio_token_file: Path | None = Field(
        None, description="A file with the token, instead of the token itself."
    )
    bell_url: str | None = Field(
        None, description="Where Label Studio reaches this service; without it judgements come by pull alone."
    )
    pull_seconds: float = Field(30.0, gt=0, description="The time between two looks for new judgements.")
    full_scan_seconds: float = Field(
        3_600.0, gt=0, description="The time between two looks at all judgements, which also finds deleted ones."
    )

    @property
    def token(self) -> str:
        """The token of Label Studio, from the file if one is named. Raises OSError."""
        if self.label_studio_token_file is not None:
            return self.label_studio_token_file.read_text().strip()
        return self.label_studio_token.get_secret_value()
