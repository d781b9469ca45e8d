"""What the pages of administrators show, fetched from the API."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from vbatch.console.core import admin_objects as admin, api_objects as api
from vbatch.console.flows.pages import PageParams
from vbatch.console.ports import Api, ApiRefused

OWNERS_ASKED_MAX = 20
"""The usage of at most this many owners is fetched; of the others only the quotas are shown."""
AUDIT_A_PAGE = 100
LINES_SHOWN = 200
LETTERS_A_PAGE = 50
REQUEST_LINE = "request_answered"
"""The gateway logs this line for each request, including those of this page."""
CHANGES_SHOWN = 50
LOGS_ELSEWHERE = "logs_elsewhere"
"""The API's code if services keep no log files."""


@dataclass(frozen=True, slots=True)
class KeysView:
    keys: tuple[admin.Key, ...]
    owners: tuple[admin.Owner, ...]
    limits: admin.Limits
    query: Mapping[str, str]
    as_of: int


@dataclass(frozen=True, slots=True)
class WebhooksView:
    """`chosen` is the endpoint whose deliveries are shown; `attempts` are those of the open delivery."""

    endpoints: tuple[admin.Webhook, ...]
    event_types: tuple[str, ...]
    chosen: admin.Webhook | None
    deliveries: tuple[admin.Delivery, ...]
    open_delivery: admin.Delivery | None
    attempts: tuple[admin.Attempt, ...]
    query: Mapping[str, str]
    as_of: int
    trouble: str = ""
    """Why the deliveries cannot be shown at present."""


@dataclass(frozen=True, slots=True)
class AuditView:
    page: admin.AuditPage
    query: Mapping[str, str]
    as_of: int


@dataclass(frozen=True, slots=True)
class AdminView:
    server: api.Server
    runners: tuple[api.Runner, ...]
    memory: Mapping[str, tuple[admin.DeviceProcess, ...]]
    """What holds memory of a runner's device; runners whose device does not tell are left out."""
    pause: admin.QueuePause
    letters: admin.DeadLetterPage
    query: Mapping[str, str]
    as_of: int


@dataclass(frozen=True, slots=True)
class LogsView:
    """`lines` are newest first. `trouble` says why there are none to read here."""

    lines: tuple[admin.LogLine, ...]
    has_more: bool
    query: Mapping[str, str]
    as_of: int
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class DeadLettersView:
    page: admin.DeadLetterPage
    chosen: admin.DeadLetterDetail | None
    query: Mapping[str, str]
    as_of: int


@dataclass(frozen=True, slots=True)
class ConfigView:
    services: tuple[admin.ServiceSettings, ...]
    limits: admin.Limits
    changes: tuple[admin.Change, ...]
    query: Mapping[str, str]
    as_of: int


async def keys(source: Api, params: PageParams, now: int) -> KeysView:
    found, owners, limits = await asyncio.gather(source.admin.keys(), source.admin.owners(), source.admin.limits())
    shown = found.data if params.query.get("state") == "all" else tuple(key for key in found.data if key.opens(now))
    asked = await asyncio.gather(*(source.admin.owner(owner.id) for owner in owners.data[:OWNERS_ASKED_MAX]))
    return KeysView(shown, (*asked, *owners.data[OWNERS_ASKED_MAX:]), limits, _of(params, "state"), now)


async def webhooks(source: Api, params: PageParams, now: int) -> WebhooksView:
    endpoints, event_types = await asyncio.gather(source.admin.webhooks(), source.admin.event_types())
    chosen = next((each for each in endpoints.data if each.id == params.query.get("endpoint")), None)
    deliveries, trouble = await _deliveries(source, chosen)
    open_one = next((each for each in deliveries if each.id == params.query.get("delivery")), None)
    attempts = (await source.admin.attempts(chosen.id, open_one.id)).data if chosen and open_one else ()
    query = _of(params, "endpoint", "delivery")
    return WebhooksView(endpoints.data, event_types.data, chosen, deliveries, open_one, attempts, query, now, trouble)


async def audit(source: Api, params: PageParams, now: int) -> AuditView:
    query = _of(params, "actor", "object_id", "action", "before")
    page = await source.admin.audit(query | {"order": "desc", "limit": str(AUDIT_A_PAGE)})
    return AuditView(page, query, now)


async def admin_page(source: Api, params: PageParams, now: int) -> AdminView:
    server, runners, told, pause, letters = await asyncio.gather(
        source.server(),
        source.runners(),
        source.admin.device_memory(),
        source.admin.queue_pause(),
        source.admin.dead_letters({"limit": "1"}),
    )
    memory = {found.runner_id: found.processes for found in told.data if found.processes is not None}
    return AdminView(server, runners.data, memory, pause, letters, _of(params), now)


async def logs(source: Api, params: PageParams, now: int) -> LogsView:
    query = _of(params, "service", "level", "text") | {"limit": str(LINES_SHOWN)}
    shown = _of(params, "service", "level", "text", "requests", "hold")
    try:
        found = await source.admin.logs(query if params.query.get("requests") else query | {"without": REQUEST_LINE})
    except ApiRefused as error:
        if error.code != LOGS_ELSEWHERE:
            raise
        return LogsView((), has_more=False, query=shown, as_of=now, trouble=error.message)
    return LogsView(found.data[::-1], found.has_more, shown, now)


async def dead_letters(source: Api, params: PageParams, now: int) -> DeadLettersView:
    query = _of(params, "after", "letter")
    page = await source.admin.dead_letters({"limit": str(LETTERS_A_PAGE)} | _of(params, "after"))
    is_there = query.get("letter") in {str(letter.id) for letter in page.data}
    chosen = await source.admin.dead_letter(query["letter"]) if is_there else None
    return DeadLettersView(page, chosen, query, now)


async def config(source: Api, params: PageParams, now: int) -> ConfigView:
    settings, limits, changes = await asyncio.gather(
        source.admin.settings(), source.admin.limits(), source.admin.changes(CHANGES_SHOWN)
    )
    return ConfigView(settings.data, limits, changes.data, _of(params, "service", "show"), now)


async def _deliveries(source: Api, chosen: admin.Webhook | None) -> tuple[tuple[admin.Delivery, ...], str]:
    """Return what was sent to the endpoint, or why that is not known: the notifier does not answer."""
    if chosen is None:
        return (), ""
    try:
        return (await source.admin.deliveries(chosen.id)).data, ""
    except ApiRefused as error:
        if error.status != 503:
            raise
        return (), error.message


def _of(params: PageParams, *names: str) -> dict[str, str]:
    """Return those fields of the address that the page knows."""
    return {name: params.query[name] for name in names if params.query.get(name)}
