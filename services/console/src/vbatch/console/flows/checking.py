"""Asks the API what the help page checks, at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from vbatch.console.core.api_objects import ADMIN_SCOPE
from vbatch.console.core.checks import Administered, Check, Situation, checks_of
from vbatch.console.core.views import UNFINISHED
from vbatch.console.flows.pages import SHOWN_MAX, PageParams
from vbatch.console.ports import Api, ApiRefused

UNAVAILABLE = 503

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HelpView:
    checks: Sequence[Check]
    as_of: int


async def help_page(source: Api, _ask: PageParams, now: int) -> HelpView:
    """Check everything. A database that does not answer is an answer; other troubles are raised."""
    server, scopes, queue = await asyncio.gather(source.server(), source.scopes(), _unless_away(source.queue()))
    told = await _administered(source) if ADMIN_SCOPE in scopes.scopes else None
    began = time.monotonic()
    page = await _unless_away(source.batches({"status": UNFINISHED, "limit": str(SHOWN_MAX)}))
    milliseconds = round(1_000 * (time.monotonic() - began))
    if page is None:
        return HelpView(checks_of(Situation(server, None, (), (), (), queue, told)), now)
    runners, registry = await asyncio.gather(source.runners(), source.registry())
    found = Situation(server, milliseconds, runners.data, registry.data, page.data, queue, told)
    return HelpView(checks_of(found), now)


async def _administered(source: Api) -> Administered:
    letters, told = await asyncio.gather(
        source.admin.dead_letters({"limit": "1"}), _unless_away(source.admin.device_memory())
    )
    devices = told.data if told is not None else ()
    strangers = {
        found.runner_id: [process for process in found.processes if not process.is_ours]
        for found in devices
        if found.processes is not None
    }
    return Administered(len(letters.data), strangers)


async def _unless_away(question: Awaitable[T]) -> T | None:
    """Return the answer; None if the service behind it does not answer. Raises ApiRefused."""
    try:
        return await question
    except ApiRefused as error:
        if error.status != UNAVAILABLE:
            raise
        return None
