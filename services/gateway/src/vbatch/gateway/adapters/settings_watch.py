"""What the other services report of their settings, fetched from each on its port."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import aiohttp
import msgspec

from vbatch.contracts.reported_settings import SETTINGS_BYTES_MAX, SETTINGS_PATH, ReportedSettings
from vbatch.gateway.adapters.service_watch import WatchedService
from vbatch.gateway.core.settings_views import SettingsReport

ANSWER_SECONDS_MAX = 3.0


class SettingsWatch:
    """Implements ports.ReportsSettings."""

    def __init__(self, services: Sequence[WatchedService], http: aiohttp.ClientSession) -> None:
        self._services = services
        self._http = http

    async def reports(self) -> list[SettingsReport]:
        return list(await asyncio.gather(*(self._report(service) for service in self._services)))

    async def _report(self, service: WatchedService) -> SettingsReport:
        url = service.url.rstrip("/") + SETTINGS_PATH
        try:
            async with self._http.get(url, timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS_MAX)) as answer:
                if answer.status != 200:
                    return SettingsReport(service.name, None, f"{url} is answered {answer.status}")
                body = await _whole(answer)
            return SettingsReport(service.name, msgspec.json.decode(body, type=ReportedSettings))
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.DecodeError) as error:
            return SettingsReport(service.name, None, f"no answer from {url}: {error or type(error).__name__}")


async def _whole(answer: aiohttp.ClientResponse) -> bytes:
    """Read the body up to its limit; a longer one cannot be decoded."""
    body = bytearray()
    async for piece in answer.content.iter_chunked(SETTINGS_BYTES_MAX):
        body += piece
        if len(body) > SETTINGS_BYTES_MAX:
            break
    return bytes(body)
