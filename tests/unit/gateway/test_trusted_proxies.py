"""Whose X-Forwarded-For is believed: that of the proxies in the settings, and nobody else's."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import ValidationError

from vbatch.gateway.settings import GatewaySettings
from vbatch.gateway.wiring.http_server import connection_limits, server_config

PROXY, STRANGER, CLAIMED = "10.0.0.5", "10.9.9.9", "203.0.113.7"


def settings_with(trusted: str) -> GatewaySettings:
    return GatewaySettings.model_validate(
        {"postgres_url": "postgresql://nobody@localhost/none", "trusted_proxies": trusted}
    )


async def client_seen(trusted: str, asking: str, claimed: str = CLAIMED) -> str:
    """The address that routes see of a request from `asking`, by the server as the gateway configures it."""
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["client"][0])

    settings = settings_with(trusted)
    config = server_config(FastAPI(), connection_limits(settings), None, settings.trusted_proxies)
    config.app = app
    config.load()
    headers = [(b"x-forwarded-for", claimed.encode())]
    await config.loaded_app({"type": "http", "client": (asking, 1), "headers": headers}, None, None)
    return seen[0]


async def test_a_trusted_proxy_names_the_client():
    assert await client_seen(PROXY, asking=PROXY) == CLAIMED


async def test_somebody_else_names_nobody():
    assert await client_seen(PROXY, asking=STRANGER) == STRANGER


async def test_a_whole_network_may_be_trusted():
    assert await client_seen("127.0.0.1, 10.0.0.0/24", asking=PROXY) == CLAIMED


async def test_what_the_client_wrote_before_the_proxy_is_not_believed():
    assert await client_seen(PROXY, asking=PROXY, claimed=f"{CLAIMED}, {STRANGER}") == STRANGER


@pytest.mark.parametrize("trusted", ["*", "", "proxy.example.org", "10.0.0.5/8", "10.0.0.5,"])
def test_what_is_no_address_is_refused(trusted: str):
    with pytest.raises(ValidationError, match="trusted_proxies"):
        settings_with(trusted)
