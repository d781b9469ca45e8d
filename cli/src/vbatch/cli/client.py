"""The gateway's HTTP API as this command uses it. Every answer is the server's own bytes; `api_types` decodes them.

Transport errors become Unreachable; 4xx and 5xx answers become Refused with the server's own text.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

import aiohttp
import msgspec

from vbatch.cli.exits import Misused, Refused, Unreachable

CONNECT_SECONDS = 5.0
SILENCE_SECONDS_MAX = 60.0
DOWNLOAD_CHUNK_BYTES = 1 << 18
ERROR_BYTES_MAX = 2_000
LINE_BYTES_MAX = 4 << 20
HINTS = {401: " Give the right one with --api-key or VBATCH_API_KEY."}


class ErrorBody(msgspec.Struct, frozen=True):
    message: str = ""


class ErrorEnvelope(msgspec.Struct, frozen=True):
    error: ErrorBody


class Server:
    """One gateway; created by `connect`."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self._http = http

    async def upload(self, path: Path) -> bytes:
        """Upload a batch input file, streamed from the disk."""
        with _open_input(path) as body:
            form = aiohttp.FormData()
            form.add_field("purpose", "batch")
            form.add_field("file", body, filename=path.name, content_type="application/octet-stream")
            return await self._ask("POST", "/v1/files", data=form)

    async def create(
        self, file_id: str, endpoint: str, window: str, metadata: Mapping[str, str], priority: int = 0
    ) -> bytes:
        body = {"input_file_id": file_id, "endpoint": endpoint, "completion_window": window}
        more = ({"metadata": dict(metadata)} if metadata else {}) | ({"priority": priority} if priority else {})
        return await self._ask("POST", "/v1/batches", json=body | more)

    async def batch(self, batch_id: str) -> bytes:
        return await self._ask("GET", f"/v1/batches/{quote(batch_id, safe='')}")

    async def cancel(self, batch_id: str) -> bytes:
        return await self._ask("POST", f"/v1/batches/{quote(batch_id, safe='')}/cancel")

    async def pause(self, batch_id: str) -> bytes:
        return await self._ask("POST", f"/v1/batches/{quote(batch_id, safe='')}/pause")

    async def resume(self, batch_id: str) -> bytes:
        return await self._ask("POST", f"/v1/batches/{quote(batch_id, safe='')}/resume")

    async def prioritize(self, batch_id: str, priority: int) -> bytes:
        return await self._ask("POST", f"/v1/batches/{quote(batch_id, safe='')}", json={"priority": priority})

    async def why(self, batch_id: str) -> bytes:
        return await self._ask("GET", f"/v1/batches/{quote(batch_id, safe='')}/why")

    async def queue(self) -> bytes:
        return await self._ask("GET", "/v1/queue")

    async def batches(self, limit: int) -> bytes:
        return await self._ask("GET", f"/v1/batches?limit={limit}")

    async def models(self) -> bytes:
        return await self._ask("GET", "/v1/models")

    async def ask(self, method: str, path: str, body: object = None) -> bytes:
        """Any other route, by its path."""
        return await self._ask(method, path, json=body)

    async def results(self, batch_id: str) -> AsyncIterator[bytes]:
        """Yield every outcome so far, as output lines, in the order they were recorded."""
        async for piece in self._download(f"/v1/batches/{quote(batch_id, safe='')}/results"):
            yield piece

    async def content(self, file_id: str) -> AsyncIterator[bytes]:
        async for piece in self._download(f"/v1/files/{quote(file_id, safe='')}/content"):
            yield piece

    @asynccontextmanager
    async def events(self, batch_id: str, after: int) -> AsyncIterator[aiohttp.StreamReader]:
        """Open the batch's server-sent events after sequence `after`."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": str(after)} if after else {})
        async with self._open("GET", f"/v1/batches/{quote(batch_id, safe='')}/events", headers=headers) as response:
            yield response.content

    async def _ask(self, method: str, path: str, *, json: object = None, data: aiohttp.FormData | None = None) -> bytes:
        async with self._open(method, path, json=json, data=data) as response:
            return await response.read()

    async def _download(self, path: str) -> AsyncIterator[bytes]:
        async with self._open("GET", path) as response:
            async for piece in response.content.iter_chunked(DOWNLOAD_CHUNK_BYTES):
                yield piece

    @asynccontextmanager
    async def _open(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        data: aiohttp.FormData | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with self._http.request(method, self.url + path, json=json, data=data, headers=headers) as response:
                await _raise_if_refused(response)
                yield response
        except aiohttp.InvalidURL as error:
            raise Misused(f"{self.url} is not a URL; give --url like http://127.0.0.1:4080.") from error
        except (aiohttp.ClientConnectorError, TimeoutError) as error:
            raise Unreachable(f"No server answers at {self.url}. Start one with `vbatch up`, or give --url.") from error
        except aiohttp.ClientError as error:
            raise Unreachable(f"The connection to {self.url} broke ({error}). Try again.") from error


@asynccontextmanager
async def connect(
    url: str, api_key: str | None, *, silence_seconds_max: float = SILENCE_SECONDS_MAX
) -> AsyncIterator[Server]:
    """Open a session; nothing is sent yet."""
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=silence_seconds_max)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout, read_bufsize=LINE_BYTES_MAX) as http:
        yield Server(url.rstrip("/").removesuffix("/v1"), http)


def _open_input(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise Misused(f"{path} cannot be read: {error.strerror}.") from error


async def _raise_if_refused(response: aiohttp.ClientResponse) -> None:
    if response.status < 400:
        return
    words = _words(await response.content.read(ERROR_BYTES_MAX))
    if response.status == 503:
        raise Unreachable(f"The server cannot answer now: {words}")
    raise Refused(_sentence(words) + HINTS.get(response.status, ""))


def _sentence(words: str) -> str:
    return words if words.endswith((".", "!", "?")) else f"{words}."


def _words(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=ErrorEnvelope).error.message
    except msgspec.DecodeError:
        return body.decode(errors="replace").strip() or "the server gave no reason."
