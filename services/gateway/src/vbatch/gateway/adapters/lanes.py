"""The gateway's side of the interactive lane: HTTP to each runner, with the token that they share."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from urllib.parse import urlsplit

import aiohttp
import msgspec

from vbatch.chassis.http_exchange import (
    Exchange,
    ExchangeLost,
    Exchanges,
    ExchangeTimedOut,
    NotConnected,
    address_of,
)
from vbatch.contracts.lane import LANE_PATH, MODEL_HEADER, REQUEST_HEADER, RESULT_HEADER, LaneResult, LaneState
from vbatch.gateway.core.interactive import InteractiveRequest
from vbatch.gateway.ports import LaneBroken, LaneRefused, LaneUnreachable

STATE_SECONDS_MAX = 2.0
STATE_BYTES_MAX = 64 << 10
DETAIL_BYTES_MAX = 4 << 10
CONNECT_SECONDS_MAX = 2.0
IDLE_SECONDS_MAX = 15.0
"""Much shorter than a runner keeps an idle connection."""
EVENT_STREAM = "text/event-stream"
PASSED_ON = ("content-type", "retry-after")
CONTENT = {"content-type": "application/json"}


class OpenLaneAnswer:
    """Implements ports.LaneAnswer; it is the iterator of its own body."""

    def __init__(self, exchange: Exchange, inside: Counter[str], url: str) -> None:
        self.status = exchange.status
        self.headers = {name: value for name in PASSED_ON if (value := exchange.headers.get(name)) is not None}
        self.is_stream = self.headers.get("content-type", "").startswith(EVENT_STREAM)
        self._exchange = exchange
        self._inside = inside
        self._url = url
        self._is_closed = False
        inside[url] += 1

    def pieces(self) -> AsyncIterator[bytes]:
        return self

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._exchange.__anext__()
        except (ExchangeLost, ExchangeTimedOut) as error:
            raise LaneBroken(f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Close the answer. An answer that was read to its end has returned its connection already."""
        if not self._is_closed:
            self._is_closed = True
            self._inside[self._url] -= 1
            self._exchange.close()


class RunnerLanes:
    """Implements ports.Lanes."""

    def __init__(self, urls: Sequence[str], token: str, http: aiohttp.ClientSession, seconds_max: float) -> None:
        """`http` is the session that fetches states. Raises ValueError for a URL without a host."""
        self._urls = [url.rstrip("/") for url in urls]
        self._token = {"authorization": f"Bearer {token}"}
        self._headers = CONTENT | self._token
        self._http = http
        self._seconds_max = seconds_max
        self._states: dict[str, LaneState] = {}
        self._inside: Counter[str] = Counter()
        self._exchanges = {
            url: Exchanges(address_of(url), idle_seconds_max=IDLE_SECONDS_MAX, connect_seconds_max=CONNECT_SECONDS_MAX)
            for url in self._urls
        }

    def states(self) -> Mapping[str, LaneState]:
        return self._states

    def inside(self, url: str) -> int:
        return self._inside[url]

    async def refresh(self) -> None:
        told = await asyncio.gather(*(self._state(url) for url in self._urls))
        self._states = {url: state for url, state in zip(self._urls, told, strict=True) if state is not None}

    async def open(self, url: str, ask: InteractiveRequest, request_id: str) -> OpenLaneAnswer:
        headers = self._headers | {MODEL_HEADER: ask.model, REQUEST_HEADER: request_id}
        path = urlsplit(url).path + LANE_PATH + ask.endpoint
        try:
            exchange = await self._exchanges[url].post(path, headers, ask.body, self._seconds_max)
        except NotConnected as error:
            self._states.pop(url, None)
            raise LaneUnreachable(str(error)) from error
        except (ExchangeLost, ExchangeTimedOut) as error:
            raise LaneBroken(f"{type(error).__name__}: {error}") from error
        if exchange.headers.get(RESULT_HEADER) == LaneResult.ANSWERED:
            return OpenLaneAnswer(exchange, self._inside, url)
        raise await _refused(exchange)

    def close(self) -> None:
        for exchanges in self._exchanges.values():
            exchanges.close()

    async def _state(self, url: str) -> LaneState | None:
        limit = aiohttp.ClientTimeout(total=STATE_SECONDS_MAX)
        try:
            async with self._http.get(url + LANE_PATH, headers=self._token, timeout=limit) as response:
                if response.status != 200:
                    return None
                return msgspec.json.decode(await response.content.read(STATE_BYTES_MAX), type=LaneState)
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.DecodeError):
            return None


async def _refused(exchange: Exchange) -> LaneRefused | LaneUnreachable:
    """Return the error for an answer that does not come from an engine."""
    try:
        detail = (await _beginning(exchange)).decode(errors="replace")
        return LaneRefused(LaneResult(exchange.headers.get(RESULT_HEADER, "")), detail)
    except (ExchangeLost, ExchangeTimedOut, ValueError):
        return LaneUnreachable(f"the runner answered {exchange.status}")
    finally:
        exchange.close()


async def _beginning(exchange: Exchange) -> bytes:
    """Return at most DETAIL_BYTES_MAX of a body. Raises ExchangeLost, ExchangeTimedOut."""
    content = b""
    async for piece in exchange.pieces():
        content += piece
        if len(content) >= DETAIL_BYTES_MAX:
            break
    return content[:DETAIL_BYTES_MAX]
