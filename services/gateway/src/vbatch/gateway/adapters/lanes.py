"""The gateway's side of the interactive lane: HTTP to each runner, with the token that they share."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence

import aiohttp
import msgspec
from yarl import URL

from vbatch.contracts.lane import LANE_PATH, MODEL_HEADER, REQUEST_HEADER, RESULT_HEADER, LaneResult, LaneState
from vbatch.gateway.core.interactive import InteractiveAsk
from vbatch.gateway.ports import LaneBroken, LaneRefused, LaneUnreachable

STATE_SECONDS_MAX = 2.0
STATE_BYTES_MAX = 64 << 10
DETAIL_BYTES_MAX = 4 << 10
CONNECT_SECONDS_MAX = 2.0
EVENT_STREAM = "text/event-stream"
PASSED_ON = ("content-type", "retry-after")
CONTENT = {"Content-Type": "application/json", "Accept-Encoding": "identity"}


class OpenLaneAnswer:
    """Keeps the promises of ports.LaneAnswer."""

    def __init__(self, response: aiohttp.ClientResponse, inside: Counter[str], url: str) -> None:
        self.status = response.status
        self.headers = {name: value for name in PASSED_ON if (value := response.headers.get(name)) is not None}
        self.is_stream = self.headers.get("content-type", "").startswith(EVENT_STREAM)
        self._response = response
        self._inside = inside
        self._url = url
        self._is_closed = False
        inside[url] += 1

    async def pieces(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._response.content.iter_any():
                yield piece
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise LaneBroken(f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        """A response that was read to its end has given its connection back already."""
        if not self._is_closed:
            self._is_closed = True
            self._inside[self._url] -= 1
            self._response.close()


class RunnerLanes:
    """Keeps the promises of ports.Lanes."""

    def __init__(self, urls: Sequence[str], token: str, http: aiohttp.ClientSession, seconds_max: float) -> None:
        self._urls = [url.rstrip("/") for url in urls]
        self._token = {"Authorization": f"Bearer {token}"}
        self._http = http
        self._limit = aiohttp.ClientTimeout(total=seconds_max, sock_connect=CONNECT_SECONDS_MAX)
        self._states: dict[str, LaneState] = {}
        self._inside: Counter[str] = Counter()
        self._paths: dict[tuple[str, str], URL] = {}

    def states(self) -> Mapping[str, LaneState]:
        return self._states

    def inside(self, url: str) -> int:
        return self._inside[url]

    async def refresh(self) -> None:
        told = await asyncio.gather(*(self._state(url) for url in self._urls))
        self._states = {url: state for url, state in zip(self._urls, told, strict=True) if state is not None}

    async def open(self, url: str, ask: InteractiveAsk, request_id: str) -> OpenLaneAnswer:
        headers = CONTENT | self._token | {MODEL_HEADER: ask.model, REQUEST_HEADER: request_id}
        try:
            response = await self._http.post(
                self._url(url, ask.endpoint), data=ask.body, headers=headers, timeout=self._limit
            )
        except aiohttp.ClientConnectorError as error:
            self._states.pop(url, None)
            raise LaneUnreachable(str(error)) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise LaneBroken(f"{type(error).__name__}: {error}") from error
        if response.headers.get(RESULT_HEADER) == LaneResult.ANSWERED:
            return OpenLaneAnswer(response, self._inside, url)
        raise await _refused(response)

    async def _state(self, url: str) -> LaneState | None:
        limit = aiohttp.ClientTimeout(total=STATE_SECONDS_MAX)
        try:
            async with self._http.get(url + LANE_PATH, headers=self._token, timeout=limit) as response:
                if response.status != 200:
                    return None
                return msgspec.json.decode(await response.content.read(STATE_BYTES_MAX), type=LaneState)
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.DecodeError):
            return None

    def _url(self, url: str, endpoint: str) -> URL:
        key = (url, endpoint)
        if key not in self._paths:
            self._paths[key] = URL(url + LANE_PATH + endpoint, encoded=True)
        return self._paths[key]


async def _refused(response: aiohttp.ClientResponse) -> LaneRefused | LaneUnreachable:
    """What an answer says that is none of an engine."""
    try:
        detail = (await response.content.read(DETAIL_BYTES_MAX)).decode(errors="replace")
        return LaneRefused(LaneResult(response.headers.get(RESULT_HEADER, "")), detail)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return LaneUnreachable(f"the runner answered {response.status}")
    finally:
        response.close()
