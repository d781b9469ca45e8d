"""Where the gateway may be used without keys: only where this machine alone reaches it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from vbatch.gateway.settings import GatewaySettings

POSTGRES = "postgresql://vbatch@127.0.0.1/vbatch"


def settings(**fields: Any) -> GatewaySettings:
    return GatewaySettings(postgres_url=SecretStr(POSTGRES), **fields)


def test_a_container_that_listens_on_every_address_is_local_when_its_port_is_published_on_loopback():
    assert settings(host="0.0.0.0", published_host="127.0.0.1").is_local


@pytest.mark.parametrize(
    "fields",
    [
        {"host": "0.0.0.0"},
        {"host": "0.0.0.0", "published_host": "192.168.1.10"},
        {"host": "127.0.0.1", "published_host": "0.0.0.0"},
    ],
)
def test_what_other_machines_reach_is_not_local(fields: dict[str, str]):
    assert not settings(**fields).is_local
