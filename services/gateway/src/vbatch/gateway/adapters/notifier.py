"""Reads the notifier's deliveries while a client waits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import msgspec

from vbatch.contracts.ids import EndpointId
from vbatch.contracts.webhooks import DeliveryPage
from vbatch.gateway.ports import NotifierUnavailable

ANSWER_SECONDS_MAX = 5.0
ANSWER_BYTES_MAX = 4 << 20


class NotifierPages:
    """Implements ports.Deliveries."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self._url = url.rstrip("/")
        self._http = http

    async def page(self, endpoint_id: EndpointId) -> DeliveryPage | None:
        try:
            async with self._http.get(f"{self._url}/deliveries/{endpoint_id}") as answer:
                if answer.status == 404:
                    return None
                if answer.status != 200:
                    raise NotifierUnavailable(f"answered {answer.status}")
                body = b"".join([piece async for piece in answer.content.iter_chunked(ANSWER_BYTES_MAX)])
                return msgspec.json.decode(body, type=DeliveryPage)
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.DecodeError) as error:
            raise NotifierUnavailable(f"{type(error).__name__}: {error}") from error


@asynccontextmanager
async def notifier_pages(url: str) -> AsyncIterator[NotifierPages]:
    """Nothing is fetched before the first page is requested."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS_MAX)) as http:
        yield NotifierPages(url, http)
