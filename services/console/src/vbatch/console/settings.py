"""The settings of the console; the settings that every service needs come from the chassis."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from vbatch.chassis.public_settings import PublicSettings


class ConsoleSettings(PublicSettings):
    """`VBATCH_CONSOLE_<FIELD>`, or the table [console]."""

    section: ClassVar[str] = "console"

    port: int = Field(4081, ge=0, le=65535, description="Where the pages are served; 0 takes any free one.")
    gateway_url: str = Field("http://127.0.0.1:4080", description="The API that the pages are a client of.")
    gateway_ca_file: Path | None = Field(
        None, description="Who signed the API's certificate, in PEM, where this machine does not know it."
    )
    api_url: str = Field("", description="The API as visitors reach it, for the examples; by default `gateway_url`.")
    hosts: str = Field(
        "", description="Names under which browsers may ask, with blanks between; this machine's own always may."
    )
    is_behind_tls: bool = Field(False, description="Visitors come over HTTPS: cookies are sent over nothing else.")
    session_seconds_max: int = Field(12 * 3600, ge=60, description="After so long a visitor logs in again.")
    streams_max: int = Field(200, ge=1, description="Live pages open at once.")
    upload_bytes_max: int = Field(600 << 20, ge=1 << 20, description="Bytes of a form with a file in it.")

    @property
    def shown_api_url(self) -> str:
        return (self.api_url or self.gateway_url).rstrip("/")

    @property
    def has_secure_cookies(self) -> bool:
        return self.is_behind_tls or self.has_tls
