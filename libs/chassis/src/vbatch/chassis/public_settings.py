"""The settings of services that clients and browsers reach: who can reach them, and over which protocol."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from vbatch.chassis.settings import ServiceSettings


class PublicSettings(ServiceSettings):
    """Both services take them from `VBATCH_TLS_…`, or each takes its own from `VBATCH_GATEWAY_TLS_…` and so on."""

    published_host: str | None = Field(
        default=None,
        description="In a container: the address of its host at which the port is published, if not `host`.",
    )
    tls_certificate_file: Path | None = Field(
        None,
        description="The certificate chain in PEM; with it the service speaks HTTPS. A renewed one is loaded.",
    )
    tls_key_file: Path | None = Field(
        default=None, description="The key of that certificate in PEM, without a passphrase."
    )

    @property
    def is_local(self) -> bool:
        """Return whether only this machine can reach the service."""
        return is_loopback(self.published_host or self.host)

    @property
    def has_tls(self) -> bool:
        return self.tls_certificate_file is not None

    @field_validator("tls_certificate_file", "tls_key_file")
    @classmethod
    def _file_is_there(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_file():
            raise ValueError(f"{path} is not there")
        return path

    @model_validator(mode="after")
    def _files_come_together(self) -> Self:
        if (self.tls_certificate_file is None) != (self.tls_key_file is None):
            raise ValueError("tls_certificate_file and tls_key_file come together")
        return self


def is_loopback(host: str) -> bool:
    """Return whether a name or an address is this machine's own."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
