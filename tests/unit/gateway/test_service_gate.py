"""The pages of whoever runs the server are for this machine and for those with a key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial

import pytest
from starlette.types import Message, Receive, Scope, Send

from vbatch.contracts.ids import OwnerId
from vbatch.gateway.adapters.http.service_gate import ServiceGate
from vbatch.gateway.core.access import Access
from vbatch.gateway.core.admission import Admission
from vbatch.gateway.core.api_keys import NO_KEYS, ApiKeys
from vbatch.gateway.core.rate_limits import FAILED_KEYS_PER_MINUTE

KEYS = ApiKeys({hashlib.sha256(b"secret").hexdigest(): OwnerId("alice")})
HERE, ELSEWHERE, OWN = ("127.0.0.1", 5), ("203.0.113.7", 5), ("192.0.2.1", 5)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
NO_HEADERS: Mapping[str, str] = {}
PAGES = pytest.mark.parametrize("path", ["/metrics", "/ready", "/docs", "/docs/assets/swagger-ui.css", "/openapi.json"])


async def status_of(
    path: str,
    client: tuple[str, int],
    *,
    is_open: bool = False,
    keys: ApiKeys = KEYS,
    admission: Admission | None = None,
    headers: Mapping[str, str] = NO_HEADERS,
) -> int:
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Message:
        raise AssertionError("nobody reads a body here")

    async def send(message: Message) -> None:
        sent.append(message)

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "path": path, "client": client, "server": OWN, "headers": raw}
    admit = partial((admission or admission_with(keys)).admit, now=NOW)
    await ServiceGate(app, admit, is_open=is_open)(scope, receive, send)
    if sent[0]["status"] != 200:
        assert json.loads(sent[1]["body"])["error"]["message"]
    return int(sent[0]["status"])


def admission_with(keys: ApiKeys) -> Admission:
    return Admission(Access(keys, is_local=True, is_caught_up=True))


@PAGES
async def test_from_elsewhere_a_key_is_asked_for(path: str):
    assert await status_of(path, ELSEWHERE) == 401
    assert await status_of(path, ELSEWHERE, headers={"authorization": "Bearer wrong"}) == 401
    assert await status_of(path, ELSEWHERE, headers={"authorization": "Bearer secret"}) == 200


@PAGES
async def test_on_this_machine_none_is(path: str):
    assert await status_of(path, HERE) == await status_of(path, ("::1", 5)) == await status_of(path, OWN) == 200


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded", "x-real-ip"])
async def test_a_proxy_on_this_machine_brings_asks_from_elsewhere(header: str):
    assert await status_of("/metrics", HERE, headers={header: "203.0.113.7"}) == 401


@PAGES
async def test_a_server_may_be_set_to_show_them_to_all(path: str):
    assert await status_of(path, ELSEWHERE, is_open=True) == 200
    assert await status_of(path, ELSEWHERE, keys=NO_KEYS) == 200


@pytest.mark.parametrize("path", ["/health", "/v1/models", "/document"])
async def test_other_routes_are_left_to_their_own_rules(path: str):
    assert await status_of(path, ELSEWHERE) == 200


async def test_wrong_keys_count_against_their_address_as_on_every_route():
    admission = admission_with(KEYS)
    wrong = {"authorization": "Bearer wrong"}
    asked = partial(status_of, "/metrics", admission=admission, headers=wrong)
    assert {await asked(ELSEWHERE) for _ in range(FAILED_KEYS_PER_MINUTE)} == {401}
    assert await asked(ELSEWHERE) == 429
    assert await asked(("203.0.113.8", 5)) == 401
