"""Identifies the visitor: one with access to the API under their own key, or one who must log in first."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Annotated, cast

import aiohttp
from fastapi import Depends, Request
from jinja2 import Environment
from prometheus_client import CollectorRegistry

from vbatch.chassis.readiness import Readiness
from vbatch.console.adapters.api import GatewayApi
from vbatch.console.adapters.http.sessions import COOKIE, Session, Sessions, is_token
from vbatch.console.core.api_objects import Me
from vbatch.console.flows.live import Watches
from vbatch.console.ports import Api, ApiRefused
from vbatch.console.settings import ConsoleSettings

KEYLESS_SECONDS = 10.0
"""How long it is assumed that the server requires no key, even while it does not answer."""
FORM_FIELDS_MAX = 20
FIELD_BYTES_MAX = 8 << 20


class MustLogIn(Exception):
    """The server requires a key."""


class NotOurForm(Exception):
    """The form does not carry this visitor's token."""


class OpenToAll(Exception):
    """The server requires no key, and the console listens for other machines."""


@dataclass
class Parts:
    """What the routes find in the application. `keyless` is the last answer to a request without a key, and when it
    came."""

    settings: ConsoleSettings
    http: aiohttp.ClientSession
    sessions: Sessions
    templates: Environment
    readiness: Readiness
    registry: CollectorRegistry
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    watches: Watches = field(default_factory=Watches)
    stream_count: int = 0
    keyless: tuple[Me, float] | None = None

    def api(self, key: str | None) -> GatewayApi:
        return GatewayApi(self.settings.gateway_url.rstrip("/"), self.http, key)


@dataclass(frozen=True, slots=True)
class Visitor:
    api: Api
    owner: str
    token: str
    session: Session | None
    is_admin: bool = False

    @property
    def has_session(self) -> bool:
        return self.session is not None


def parts_of(request: Request) -> Parts:
    return cast(Parts, request.app.state.parts)


async def visitor_of(request: Request) -> Visitor:
    """Return the visitor. Raises MustLogIn, OpenToAll, ApiUnreachable."""
    parts = parts_of(request)
    agent = request.headers.get("user-agent", "")
    session = parts.sessions.find(request.cookies.get(COOKIE), agent)
    if session is not None:
        return Visitor(parts.api(session.key), session.owner, session.token, session, session.is_admin)
    me = await _keyless(parts)
    if not parts.settings.is_local:
        raise OpenToAll
    return Visitor(parts.api(None), me.owner, parts.sessions.local_token, None, me.is_admin)


async def guarded(request: Request, visitor: Annotated[Visitor, Depends(visitor_of)]) -> Visitor:
    """Return a visitor whose form, or script, carries their token. Raises NotOurForm."""
    given = request.headers.get("x-csrf-token")
    if given is None:
        form = await request.form(max_files=1, max_fields=FORM_FIELDS_MAX, max_part_size=FIELD_BYTES_MAX)
        value = form.get("csrf")
        given = value if isinstance(value, str) else None
    if not is_token(given, visitor.token):
        raise NotOurForm
    return visitor


async def _keyless(parts: Parts) -> Me:
    now = time.monotonic()
    if parts.keyless is not None and now - parts.keyless[1] < KEYLESS_SECONDS:
        return parts.keyless[0]
    try:
        me = await parts.api(None).me()
    except ApiRefused as error:
        parts.keyless = None
        if error.is_about_the_key:
            raise MustLogIn from error
        raise
    parts.keyless = (me, now)
    return me


TheVisitor = Annotated[Visitor, Depends(visitor_of)]
Guarded = Annotated[Visitor, Depends(guarded)]
"""For every route that changes something."""
