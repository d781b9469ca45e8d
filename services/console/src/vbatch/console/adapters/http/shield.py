"""The checks of every request: its host, its origin, the length of its body; and the headers of every answer."""

from __future__ import annotations

from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vbatch.console.core.guarding import SAFE_METHODS, SECURITY_HEADERS, is_known_host, is_own_origin

LENGTH_DIGITS_MAX = 18


class Shield:
    def __init__(self, app: ASGIApp, *, hosts: Collection[str], body_bytes_max: int) -> None:
        self._app = app
        self._hosts = hosts
        self._body_bytes_max = body_bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sending = _with_headers(send)
        refusal = self._refusal(scope["method"], Headers(scope=scope))
        if refusal is not None:
            await refusal(scope, receive, sending)
            return
        await self._app(scope, receive, sending)

    def _refusal(self, method: str, headers: Headers) -> PlainTextResponse | None:
        host = headers.get("host", "")
        if not is_known_host(host, self._hosts):
            words = f"This server is not known as {host[:200]!r}. VBATCH_CONSOLE_HOSTS names the hosts it answers to.\n"
            return PlainTextResponse(words, 421)
        if method in SAFE_METHODS:
            return None
        if not is_own_origin(host, headers.get("origin"), headers.get("sec-fetch-site")):
            return PlainTextResponse("This form was sent from another site.\n", 403)
        length = headers.get("content-length", "")[:LENGTH_DIGITS_MAX]
        if not length.isdigit():
            return PlainTextResponse("The length of the body is needed.\n", 411)
        if int(length) > self._body_bytes_max:
            return PlainTextResponse(f"A form may have {self._body_bytes_max} bytes.\n", 413)
        return None


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS:
                headers.setdefault(name, value)
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return sending
