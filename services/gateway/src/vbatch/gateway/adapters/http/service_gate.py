"""Decides who may read the operators' pages: metrics reveal the names of models and their rates, `/ready` the services
behind the gateway, `/docs` every route.

Any client on this machine may read them; from elsewhere a key is required, unless the server is set to show them to
everyone. `/health` says only that the process answers, and is open.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from vbatch.gateway.adapters.http.answers import refusal_answer
from vbatch.gateway.adapters.http.app_state import address_of
from vbatch.gateway.core.refusals import Refusal

PAGES = frozenset({"/ready", "/metrics", "/docs", "/openapi.json"})
FOLDERS = ("/docs/",)
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")
"""A proxy on this machine forwards requests from elsewhere."""

Admit = Callable[[str | None, str], object]
"""Takes the Authorization header and the client's address; raises Refusal when the key is not valid."""


class ServiceGate:
    """ASGI middleware, inside the one that adds the headers of every answer."""

    def __init__(self, app: ASGIApp, admit: Admit, *, is_open: bool) -> None:
        self._app = app
        self._admit = admit
        self._is_open = is_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._check(scope)
        except Refusal as refusal:
            await refusal_answer(refusal)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        """Raises Refusal when the key is missing or wrong."""
        if scope["type"] != "http" or self._is_open or not _is_page(scope["path"]):
            return
        headers = Headers(raw=scope["headers"])
        if not _is_from_here(scope, headers):
            self._admit(headers.get("authorization"), address_of(HTTPConnection(scope)))


def _is_page(path: str) -> bool:
    return path in PAGES or path.startswith(FOLDERS)


def _is_from_here(scope: Scope, headers: Headers) -> bool:
    """Whether the client uses loopback, or connects to an address of this machine from that same address."""
    client, server = scope.get("client"), scope.get("server")
    if client is None or any(name in headers for name in FORWARDED):
        return False
    return ipaddress.ip_address(client[0]).is_loopback or (server is not None and client[0] == server[0])
