"""An HTTP client for an engine behind a Unix socket or a base URL. It sends bodies unchanged and does not judge
answers."""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import lru_cache

import aiohttp
from yarl import URL

from vbatch.chassis.http_exchange import (
    Address,
    Exchange,
    ExchangeLost,
    Exchanges,
    ExchangeTimedOut,
    NotConnected as NoConnection,
)
from vbatch.gpu_runner.adapters.engine.http.connection_pool import (
    CONNECT_SECONDS_MAX,
    IDLE_SECONDS_MAX,
    ConnectionPool,
    TcpTarget,
)
from vbatch.gpu_runner.core.concurrency import EngineStats
from vbatch.gpu_runner.ports import (
    Answer,
    AnswerTooLarge,
    ConnectionLost,
    Gate,
    NotConnected,
    OpenAnswer,
    RequestTimedOut,
    open_gate,
)

ANSWER_BYTES_MAX = 64 * 1024 * 1024
PROBE_SECONDS_MAX = 5.0
PROBE_BYTES_MAX = 8 * 1024 * 1024
"""The largest answer to a probe, such as an engine's metrics."""
FIGURE_MAX = 1e9
HEADERS = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
SOCKET_BASE = "http://engine"
NUMERIC_HOST = int(socket.AI_NUMERICHOST)
PROGRESS_METRICS = ("vllm:generation_tokens", "vllm:prompt_tokens", "llamacpp:n_decode_total")
"""What grows while an engine computes. llama.cpp counts tokens only when a request ends, but each step at once."""
RUNNING, WAITING, KV_SHARE = b"num_requests_running", b"num_requests_waiting", b"kv_cache_usage_perc"
STATS_METRICS = re.compile(rb"^vllm:(num_requests_running|num_requests_waiting|kv_cache_usage_perc)[{ ].*?(\S+)$", re.M)


class FixedAddress(aiohttp.abc.AbstractResolver):
    """One address of a host that may have several."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[aiohttp.abc.ResolveResult]:
        kind = socket.AF_INET6 if ":" in self._address else socket.AF_INET
        return [
            {"hostname": host, "host": self._address, "port": port, "family": kind, "proto": 0, "flags": NUMERIC_HOST}
        ]

    async def close(self) -> None:
        """Nothing is open."""


class EngineClient:
    """Uses a connection pool for requests, and one session for probes. An answer that is read piece by piece comes over
    its own connection from a socket, and over the session from a server elsewhere.

    `target` is the path of a socket, or a server elsewhere. The client does not limit connections: the concurrency
    limit does.
    """

    def __init__(self, target: str | TcpTarget, *, request_seconds_max: float) -> None:
        headers = dict(target.headers) if isinstance(target, TcpTarget) else {}
        self._session = aiohttp.ClientSession(
            connector=_connector(target),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=HEADERS | headers,
            timeout=aiohttp.ClientTimeout(total=request_seconds_max, sock_connect=CONNECT_SECONDS_MAX),
        )
        self._connections = ConnectionPool(
            target, request_seconds_max=request_seconds_max, answer_bytes_max=ANSWER_BYTES_MAX
        )
        self._exchanges = _exchanges(target)
        self._base_url = _base_url(target)
        self._request_seconds_max = request_seconds_max
        self._progress: str | None = None

    def ask(self, endpoint: str, body: bytes, gate: Gate = open_gate) -> Awaitable[Answer]:
        return self._connections.post(endpoint, body, gate)

    def abort(self) -> None:
        """Close the connections of all requests that `ask` has sent: each raises ConnectionLost."""
        self._connections.abort()

    def open(self, endpoint: str, body: bytes, headers: Mapping[str, str]) -> AbstractAsyncContextManager[OpenAnswer]:
        """Send one request and yield its answer while its body arrives. The connection is closed when the block is left
        before the end, and the engine then drops the request."""
        if self._exchanges is None:
            return self._open_remote(endpoint, body, headers)
        return _LocalAnswer(_begun(self._exchanges, endpoint, {**HEADERS, **headers}, body, self._request_seconds_max))

    @asynccontextmanager
    async def _open_remote(self, endpoint: str, body: bytes, headers: Mapping[str, str]) -> AsyncIterator[OpenAnswer]:
        url = _url(self._base_url, endpoint)
        asked = self._session.post(url, data=body, headers=headers, allow_redirects=False)
        async with AsyncExitStack() as stack:
            try:
                response = await stack.enter_async_context(asked)
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
                raise NotConnected(f"{type(error).__name__}: {error}") from error
            except TimeoutError as error:
                raise RequestTimedOut from error
            except (aiohttp.ClientError, OSError) as error:
                raise ConnectionLost(f"{type(error).__name__}: {error}") from error
            yield OpenAnswer(response.status, response.headers, _pieces(response))

    async def is_healthy(self) -> bool:
        """Whether the engine is healthy. A server without /health counts as healthy if it lists its models."""
        status = await self._probe_status("/health")
        return status == 200 or (status == 404 and await self._probe_status("/v1/models") == 200)

    async def progress(self) -> str | None:
        """Return the engine's counters as text; None if it exposes none.

        An engine that does not answer makes no progress: the counters are then those seen last. llama.cpp's server
        answers `/health` without its computing thread, and `/metrics` only with it.
        """
        answer = await self._probe("/metrics")
        if answer is not None:
            self._progress = progress_in(answer.body) if answer.status_code == 200 else None
        return self._progress

    async def stats(self) -> EngineStats | None:
        """Return the stats, summed over the engines behind one address; None if the server exposes no such metrics."""
        return stats_in(await self.metrics())

    async def close(self) -> None:
        self._connections.close()
        if self._exchanges is not None:
            self._exchanges.close()
        await self._session.close()

    async def metrics(self) -> bytes:
        """Return the metrics as Prometheus text; empty if there are none."""
        answer = await self._probe("/metrics")
        return answer.body if answer and answer.status_code == 200 else b""

    async def _probe_status(self, path: str) -> int:
        answer = await self._probe(path)
        return answer.status_code if answer else 0

    async def _probe(self, path: str) -> Answer | None:
        limit = aiohttp.ClientTimeout(total=PROBE_SECONDS_MAX)
        try:
            async with self._session.get(_url(self._base_url, path), timeout=limit) as response:
                return Answer(response.status, await _read(response, PROBE_BYTES_MAX))
        except (TimeoutError, aiohttp.ClientError, OSError, AnswerTooLarge):
            return None


async def _begun(
    exchanges: Exchanges, path: str, headers: Mapping[str, str], body: bytes, seconds_max: float
) -> Exchange:
    """Begin the exchange. Raises NotConnected, ConnectionLost, RequestTimedOut."""
    try:
        return await exchanges.post(path, headers, body, seconds_max)
    except NoConnection as error:
        raise NotConnected(str(error)) from error
    except ExchangeLost as error:
        raise ConnectionLost(str(error)) from error
    except ExchangeTimedOut as error:
        raise RequestTimedOut from error


class _LocalAnswer:
    """One exchange while the block runs, and the iterator of its body; the caller limits the size of the body. Classes
    cost a fraction of what generators with the same steps cost."""

    def __init__(self, begun: Awaitable[Exchange]) -> None:
        self._begun = begun
        self._exchange: Exchange | None = None

    async def __aenter__(self) -> OpenAnswer:
        self._exchange = exchange = await self._begun
        return OpenAnswer(exchange.status, exchange.headers, self)

    async def __aexit__(self, *_error: object) -> None:
        if self._exchange is not None:
            self._exchange.close()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """Raises ConnectionLost, RequestTimedOut."""
        assert self._exchange is not None, "the block was entered"
        try:
            return await self._exchange.__anext__()
        except ExchangeLost as error:
            raise ConnectionLost(str(error)) from error
        except ExchangeTimedOut as error:
            raise RequestTimedOut from error


def progress_in(metrics: bytes) -> str | None:
    """Return the lines of the metrics that change while an engine computes; None if there are none."""
    lines = metrics.decode(errors="replace").splitlines()
    return "\n".join(line for line in lines if line.startswith(PROGRESS_METRICS)) or None


def stats_in(metrics: bytes) -> EngineStats | None:
    """Read the load from vLLM's metrics: counts are summed over its engines, the KV cache is the fullest one."""
    seen: dict[bytes, list[float]] = {}
    for name, text in STATS_METRICS.findall(metrics):
        if (value := _figure(text)) is None:
            return None
        seen.setdefault(name, []).append(value)
    if RUNNING not in seen or WAITING not in seen:
        return None
    return EngineStats(int(sum(seen[RUNNING])), int(sum(seen[WAITING])), max(seen.get(KV_SHARE, [0.0])))


def _figure(text: bytes) -> float | None:
    """Parse a count or a share; None for a value that no engine can mean."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value <= FIGURE_MAX else None


async def _read(response: aiohttp.ClientResponse, bytes_max: int) -> bytes:
    """Read the body piece by piece, because its length is not known in advance. Raises AnswerTooLarge."""
    pieces, size = [], 0
    async for piece in response.content.iter_any():
        size += len(piece)
        _check_size(size, bytes_max)
        pieces.append(piece)
    return b"".join(pieces)


async def _pieces(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yield the body as it arrives; the caller limits its size. Raises ConnectionLost, RequestTimedOut."""
    try:
        async for piece in response.content.iter_any():
            yield piece
    except TimeoutError as error:
        raise RequestTimedOut from error
    except aiohttp.ClientError as error:
        raise ConnectionLost(f"{type(error).__name__}: {error}") from error


def _check_size(size: int, bytes_max: int = ANSWER_BYTES_MAX) -> None:
    if size > bytes_max:
        raise AnswerTooLarge(f"The engine's answer was larger than {bytes_max >> 20} MiB.")


def _connector(target: str | TcpTarget) -> aiohttp.BaseConnector:
    if isinstance(target, str):
        return aiohttp.UnixConnector(target, limit=0, keepalive_timeout=IDLE_SECONDS_MAX)
    return aiohttp.TCPConnector(
        limit=0,
        keepalive_timeout=IDLE_SECONDS_MAX,
        resolver=FixedAddress(target.address),
        ssl=target.tls or True,
    )


def _exchanges(target: str | TcpTarget) -> Exchanges | None:
    if isinstance(target, TcpTarget):
        return None
    return Exchanges(Address("engine", socket=target), idle_seconds_max=IDLE_SECONDS_MAX)


def _base_url(target: str | TcpTarget) -> str:
    if isinstance(target, str):
        return SOCKET_BASE
    return f"{'https' if target.tls else 'http'}://{target.host_header}{target.prefix}"


@lru_cache(maxsize=1024)
def _url(base_url: str, path: str) -> URL:
    return URL(base_url + path, encoded=True)
