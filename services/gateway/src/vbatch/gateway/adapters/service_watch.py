"""What the other services report on `/ready`, fetched at most once a second for all readers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
import msgspec

from vbatch.chassis.clock import utc_now
from vbatch.gateway.core.server_views import ServiceReport, ServiceState

KEPT_SECONDS = 1.0
ANSWER_SECONDS_MAX = 3.0
ANSWER_BYTES_MAX = 64 << 10
DETAIL_CHARS_MAX = 300


class _Check(msgspec.Struct, frozen=True):
    ok: bool
    detail: str


class _Page(msgspec.Struct, frozen=True):
    """The body of `/ready`."""

    checks: dict[str, _Check]


@dataclass(frozen=True, slots=True)
class WatchedService:
    """`url` is the address of the service's `/ready`."""

    name: str
    url: str


class ServiceWatch:
    """Implements ports.Services."""

    def __init__(self, services: Sequence[WatchedService], http: aiohttp.ClientSession) -> None:
        self._services = services
        self._http = http
        self._asking = asyncio.Lock()
        self._kept: list[ServiceReport] = []
        self._asked_at = float("-inf")

    async def reports(self) -> list[ServiceReport]:
        async with self._asking:
            now = asyncio.get_running_loop().time()
            if now - self._asked_at > KEPT_SECONDS:
                self._kept = list(await asyncio.gather(*(self._report(service) for service in self._services)))
                self._asked_at = now
            return self._kept

    async def _report(self, service: WatchedService) -> ServiceReport:
        state, detail = await self._look(service.url.rstrip("/") + "/ready")
        return ServiceReport(service.name, state, detail[:DETAIL_CHARS_MAX], utc_now())

    async def _look(self, url: str) -> tuple[ServiceState, str]:
        try:
            async with self._http.get(url, timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS_MAX)) as answer:
                page = msgspec.json.decode(await answer.content.read(ANSWER_BYTES_MAX), type=_Page)
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.DecodeError) as error:
            return ServiceState.UNREACHABLE, f"no answer from {url}: {error or type(error).__name__}"
        is_ready = answer.status == 200
        said = [f"{name}: {check.detail}" for name, check in page.checks.items() if is_ready or not check.ok]
        return ServiceState.READY if is_ready else ServiceState.NOT_READY, "; ".join(said)
