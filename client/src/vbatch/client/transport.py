"""The HTTP connections to one gateway, blocking and asynchronous. Every error of the HTTP library becomes one of
ours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import httpx2 as httpx
import msgspec

from vbatch.client.errors import BadUrl, Refused, Silent, Unreachable

CONNECT_SECONDS = 5.0
SILENCE_SECONDS_MAX = 60.0
"""The longest silence. The gateway sends a heartbeat into event streams far more often."""
ERROR_BYTES_MAX = 16_384
EVENT_BYTES_MAX = 8 << 20
"""The limit of one server-sent event. Events in the log have at most 2 MiB."""
TRUST = "Ask under a name of its certificate, and name your own authority in SSL_CERT_FILE."


class ErrorBody(msgspec.Struct, frozen=True):
    message: str = ""
    code: str | None = None
    param: str | None = None


class ErrorEnvelope(msgspec.Struct, frozen=True):
    error: ErrorBody


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of a form. Its bytes are read from their source and sent while they are read."""

    filename: str
    content: BinaryIO
    purpose: str = "batch"


class Transport:
    """Blocking HTTP transport."""

    def __init__(self, url: str, api_key: str | None) -> None:
        self.url = base_url(url)
        self._http = httpx.Client(headers=_headers(api_key), timeout=_timeout(SILENCE_SECONDS_MAX), **_trust(self.url))

    def close(self) -> None:
        self._http.close()

    def ask(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        upload: Upload | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Return the whole answer. Raises Refused and Unreachable."""
        with self.open(method, path, json=json, upload=upload, headers=headers) as response:
            return response.read()

    @contextmanager
    def open(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        upload: Upload | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[httpx.Response]:
        """Open an answer to be read piece by piece. Raises Refused and Unreachable, also while it is read."""
        with translated(self.url):
            with self._http.stream(method, self.url + path, headers=headers, **_content(json, upload)) as response:
                if response.is_error:
                    raise refusal_of(response.status_code, _first(response.iter_bytes()))
                yield response


class AsyncTransport:
    """Asynchronous HTTP transport. Raises Silent if nothing arrives for `silence_seconds_max`."""

    def __init__(self, url: str, api_key: str | None, *, silence_seconds_max: float = SILENCE_SECONDS_MAX) -> None:
        self.url = base_url(url)
        self._silence_seconds_max = silence_seconds_max
        timeout = _timeout(silence_seconds_max)
        self._http = httpx.AsyncClient(headers=_headers(api_key), timeout=timeout, **_trust(self.url))

    async def close(self) -> None:
        await self._http.aclose()

    async def ask(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        upload: Upload | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Return the whole answer. Raises Refused and Unreachable."""
        async with self.open(method, path, json=json, upload=upload, headers=headers) as response:
            return await response.aread()

    @asynccontextmanager
    async def open(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        upload: Upload | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[httpx.Response]:
        """Open an answer to be read piece by piece. Raises Refused and Unreachable, also while it is read."""
        with translated(self.url, self._silence_seconds_max):
            asked = self._http.stream(method, self.url + path, headers=headers, **_content(json, upload))
            async with asked as response:
                if response.is_error:
                    raise refusal_of(response.status_code, await _afirst(response.aiter_bytes()))
                yield response


def base_url(url: str) -> str:
    """Return the address without a slash or `/v1` at its end, so that the URL of the `openai` client is accepted
    too."""
    return url.rstrip("/").removesuffix("/v1")


def is_loopback(url: str) -> bool:
    """Return whether the server is on this machine. No proxy leads there, whatever the environment says."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


@contextmanager
def translated(url: str, silence_seconds_max: float = SILENCE_SECONDS_MAX) -> Iterator[None]:
    """Raise the HTTP library's errors as ours."""
    try:
        yield
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise BadUrl(f"{url} is not a URL; give one like http://127.0.0.1:4080.") from error
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise Unreachable(f"{url} is not trusted: {error}. {TRUST}") from error
        raise Unreachable(f"No server answers at {url}. Start one with `vbatch up`, or give its URL.") from error
    except httpx.TimeoutException as error:
        raise Silent(f"{url} sent nothing for {silence_seconds_max:.0f} s. Try again.") from error
    except httpx.HTTPError as error:
        raise Unreachable(f"The connection to {url} broke ({error}). Try again.") from error


def refusal_of(status: int, body: bytes) -> Refused | Unreachable:
    """Return the error of an answer. A 503 is temporary."""
    try:
        error = msgspec.json.decode(body, type=ErrorEnvelope).error
    except msgspec.DecodeError:
        error = ErrorBody(body.decode(errors="replace").strip() or f"HTTP {status}, without a reason.")
    if status == 503:
        return Unreachable(f"The server cannot answer now: {error.message}")
    return Refused(error.message, status=status, code=error.code, param=error.param)


def _timeout(silence_seconds_max: float) -> httpx.Timeout:
    return httpx.Timeout(silence_seconds_max, connect=CONNECT_SECONDS)


def _content(json: object, upload: Upload | None) -> dict[str, Any]:
    if upload is not None:
        files = {"file": (upload.filename, upload.content, "application/octet-stream")}
        return {"data": {"purpose": upload.purpose}, "files": files}
    return {"json": json} if json is not None else {}


def _trust(url: str) -> dict[str, Any]:
    """Return httpx options. For a server on this machine they bypass every proxy and accept any certificate."""
    return {"trust_env": False, "verify": False} if is_loopback(url) else {}


def _headers(api_key: str | None) -> dict[bytes, bytes]:
    return {b"Authorization": f"Bearer {api_key}".encode()} if api_key else {}


def _first(pieces: Iterator[bytes]) -> bytes:
    """Return the beginning of an error, which may have no end."""
    body = b""
    for piece in pieces:
        body += piece
        if len(body) >= ERROR_BYTES_MAX:
            break
    return body[:ERROR_BYTES_MAX]


async def _afirst(pieces: AsyncIterator[bytes]) -> bytes:
    body = b""
    async for piece in pieces:
        body += piece
        if len(body) >= ERROR_BYTES_MAX:
            break
    return body[:ERROR_BYTES_MAX]
