"""The settings of the notifier; what every service needs comes from the chassis."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from vbatch.chassis.settings import ServiceSettings


class NotifierSettings(ServiceSettings):
    """`VBATCH_NOTIFIER_<FIELD>`, or the table [notifier]."""

    section: ClassVar[str] = "notifier"

    port: int = Field(4086, ge=0, le=65535, description="Where health and metrics are served; 0 takes any free one.")

    @property
    def webhook_secrets_folder(self) -> Path:
        return self.home / "secrets" / "webhooks"
