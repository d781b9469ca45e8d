"""The gateway's API over HTTP, under one visitor's key. Answers are bounded in size, and so is the wait for them."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote

import aiohttp
import msgspec

from vbatch.console.adapters.admin_api import GatewayAdminApi
from vbatch.console.adapters.curation_api import GatewayCurationApi
from vbatch.console.core import api_objects as api, family_objects as families, reading_objects as reading
from vbatch.console.ports import ApiRefused, ApiUnreachable, Download, LiveEvent, Upload
from vbatch.contracts.endpoints import CHAT_COMPLETIONS

ANSWER_SECONDS_MAX = 15.0
LONG_SECONDS_MAX = 600.0
ANSWER_BYTES_MAX = 32 << 20
ERROR_BYTES_MAX = 64 << 10
PIECE_BYTES = 256 << 10
CONNECT_SECONDS_MAX = 3.0
SILENCE_SECONDS_MAX = 40.0
"""The gateway's stream sends something at least every 15 seconds."""
STREAM_LINE_BYTES_MAX = 4 << 20
TOKEN_SECONDS_MAX = 600.0
"""The engine reads a long prompt for a while before the first token comes."""

T = TypeVar("T")
QUICK = aiohttp.ClientTimeout(total=ANSWER_SECONDS_MAX, connect=CONNECT_SECONDS_MAX)
LONG = aiohttp.ClientTimeout(total=LONG_SECONDS_MAX, connect=CONNECT_SECONDS_MAX)
ENDLESS = aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS_MAX, sock_read=SILENCE_SECONDS_MAX)
THOUGHTFUL = aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS_MAX, sock_read=TOKEN_SECONDS_MAX)


@dataclass(frozen=True, slots=True)
class GatewayApi:
    """Implements ports.Api."""

    url: str
    http: aiohttp.ClientSession
    key: str | None

    @property
    def admin(self) -> GatewayAdminApi:
        return GatewayAdminApi(self)

    @property
    def curation(self) -> GatewayCurationApi:
        return GatewayCurationApi(self)

    async def me(self) -> api.Me:
        return await self._get("/v1/me", api.Me)

    async def server(self) -> api.Server:
        return await self._get("/v1/server", api.Server)

    async def runners(self) -> api.Runners:
        return await self._get("/v1/runners", api.Runners)

    async def registry(self) -> api.Registry:
        return await self._get("/v1/registry", api.Registry)

    async def queue(self) -> api.Queue:
        return await self._get("/v1/queue", api.Queue)

    async def why(self, batch_id: str) -> api.Why:
        return await self._get(_batch(batch_id, "/why"), api.Why)

    async def what_if(self, batch_id: str, priority: int) -> api.Queue:
        return await self._get(_batch(batch_id, "/what-if"), api.Queue, {"priority": str(priority)})

    async def batches(self, query: Mapping[str, str]) -> api.BatchPage:
        return await self._get("/v1/batches", api.BatchPage, query)

    async def batch(self, batch_id: str) -> api.Batch:
        return await self._get(_batch(batch_id), api.Batch)

    async def batch_json(self, batch_id: str) -> bytes:
        return await self._ask("GET", _batch(batch_id))

    async def lines(self, batch_id: str, query: Mapping[str, str]) -> api.LinePage:
        return await self._get(_batch(batch_id, "/lines"), api.LinePage, query)

    async def line(self, batch_id: str, line: int) -> api.LineDetail:
        return await self._get(_batch(batch_id, f"/lines/{line}"), api.LineDetail)

    async def facets(self, batch_id: str) -> reading.Facets:
        return await self._get(_batch(batch_id, "/facets"), reading.Facets)

    async def comparison(self, query: Mapping[str, str]) -> reading.Comparison:
        return await self._get("/v1/comparisons", reading.Comparison, query)

    async def compared(self, query: Mapping[str, str]) -> reading.ComparedPage:
        return await self._get("/v1/comparisons/lines", reading.ComparedPage, query)

    async def scopes(self) -> reading.Scopes:
        return await self._get("/v1/me", reading.Scopes)

    async def usage(self, query: Mapping[str, str], *, is_of_all: bool) -> reading.Usage:
        return await self._get(_usage(is_of_all), reading.Usage, query)

    async def timeline(self, batch_id: str, query: Mapping[str, str]) -> reading.Timeline:
        return await self._get(_batch(batch_id, "/timeline"), reading.Timeline, query)

    async def faults(self, batch_id: str) -> api.FaultKinds:
        return await self._get(_batch(batch_id, "/faults"), api.FaultKinds)

    async def series(self, batch_id: str) -> api.Series:
        return await self._get(_batch(batch_id, "/series"), api.Series)

    async def events(self, query: Mapping[str, str]) -> api.EventPage:
        return await self._get("/v1/events", api.EventPage, query)

    async def files(self, query: Mapping[str, str]) -> api.FilePage:
        return await self._get("/v1/files", api.FilePage, query)

    async def file(self, file_id: str) -> api.StoredFile:
        return await self._get(_file(file_id), api.StoredFile)

    async def upload(self, upload: Upload, filename: str) -> api.StoredFile:
        form = aiohttp.FormData()
        form.add_field("purpose", "batch")
        form.add_field("file", _pieces(upload), filename=filename, content_type="application/jsonl")
        return _read(await self._ask("POST", "/v1/files", data=form, patience=LONG), api.StoredFile)

    async def check(self, file_id: str, endpoint: str) -> api.FileCheck:
        body = json.dumps({"endpoint": endpoint}).encode()
        return _read(await self._ask("POST", _file(file_id, "/check"), data=body, patience=LONG), api.FileCheck)

    async def delete_file(self, file_id: str) -> None:
        await self._ask("DELETE", _file(file_id))

    async def create(self, ask: Mapping[str, object], idempotency_key: str) -> api.Batch:
        headers = {"Idempotency-Key": idempotency_key}
        return _read(await self._ask("POST", "/v1/batches", data=json.dumps(ask).encode(), headers=headers), api.Batch)

    async def steer(self, batch_id: str, action: str) -> api.Batch:
        return _read(await self._ask("POST", _batch(batch_id, f"/{action}")), api.Batch)

    async def prioritize(self, batch_id: str, priority: int) -> api.Batch:
        body = json.dumps({"priority": priority}).encode()
        return _read(await self._ask("POST", _batch(batch_id), data=body), api.Batch)

    async def retry(self, batch_id: str, idempotency_key: str) -> api.Batch:
        headers = {"Idempotency-Key": idempotency_key}
        return _read(await self._ask("POST", _batch(batch_id, "/retry"), headers=headers), api.Batch)

    async def family(self, batch_id: str) -> api.BatchPage:
        return await self._get(_batch(batch_id, "/family"), api.BatchPage)

    async def fanout(self, fanout_id: str) -> families.Fanout:
        return await self._get(_fanout(fanout_id), families.Fanout)

    async def manifest(self, batch_id: str) -> families.Manifest:
        return await self._get(_batch(batch_id, "/manifest"), families.Manifest)

    @asynccontextmanager
    async def download(self, file_id: str) -> AsyncGenerator[Download, None]:
        async with self._answer("GET", _file(file_id, "/content"), patience=LONG) as answer:
            yield _download_of(answer)

    @asynccontextmanager
    async def export(self, batch_id: str, query: Mapping[str, str]) -> AsyncGenerator[Download, None]:
        async with self._answer("GET", _batch(batch_id, "/lines/export"), query, patience=LONG) as answer:
            yield _download_of(answer)

    @asynccontextmanager
    async def merged(self, batch_id: str) -> AsyncGenerator[Download, None]:
        """Download the answers of the batch and its retries, one for each custom_id."""
        query, name = {"merged": "true"}, f"{batch_id}-merged.jsonl"
        async with self._answer("GET", _batch(batch_id, "/results"), query, patience=LONG) as answer:
            yield _named(_download_of(answer), name)

    @asynccontextmanager
    async def fanout_results(self, fanout_id: str) -> AsyncGenerator[Download, None]:
        async with self._answer("GET", _fanout(fanout_id, "/results"), patience=LONG) as answer:
            yield _named(_download_of(answer), f"{fanout_id}.jsonl")

    @asynccontextmanager
    async def manifest_file(self, batch_id: str) -> AsyncGenerator[Download, None]:
        async with self._answer("GET", _batch(batch_id, "/manifest")) as answer:
            yield _named(_download_of(answer), f"{batch_id}-manifest.json")

    @asynccontextmanager
    async def dataset_export(self, name: str, version: int, kind: str) -> AsyncGenerator[Download, None]:
        path = f"/v1/datasets/{quote(name, safe='')}/versions/{version}/export"
        async with self._answer("GET", path, {"format": kind}, patience=LONG) as answer:
            yield _download_of(answer)

    @asynccontextmanager
    async def compared_table(self, query: Mapping[str, str]) -> AsyncGenerator[Download, None]:
        async with self._answer("GET", "/v1/comparisons/export", query, patience=LONG) as answer:
            yield _download_of(answer)

    @asynccontextmanager
    async def usage_table(self, query: Mapping[str, str], *, is_of_all: bool) -> AsyncGenerator[Download, None]:
        async with self._answer("GET", _usage(is_of_all), dict(query) | {"format": "csv"}) as answer:
            yield _download_of(answer)

    @asynccontextmanager
    async def chat(self, body: Mapping[str, object]) -> AsyncGenerator[AsyncIterator[bytes], None]:
        data, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
        async with self._answer("POST", CHAT_COMPLETIONS, data=data, headers=headers, patience=THOUGHTFUL) as answer:
            yield _stream_lines(answer)

    @asynccontextmanager
    async def live(self, last_id: str, batch_id: str | None) -> AsyncGenerator[AsyncIterator[LiveEvent], None]:
        query = {"batch_id": batch_id, "detail": "all"} if batch_id else {}
        headers = {"Last-Event-ID": last_id} if last_id else {}
        async with self._answer("GET", "/v1/events/live", query, headers=headers, patience=ENDLESS) as answer:
            yield _events(answer)

    async def get(self, path: str, kind: type[T], query: Mapping[str, str] | None = None) -> T:
        return await self._get(path, kind, query)

    async def send(self, method: str, path: str, kind: type[T], body: bytes | None = None) -> T:
        return _read(await self._ask(method, path, data=body), kind)

    async def send_long(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Send a request whose answer takes long."""
        return await self._ask(method, path, data=body, patience=LONG)

    async def _get(self, path: str, kind: type[T], query: Mapping[str, str] | None = None) -> T:
        return _read(await self._ask("GET", path, query), kind)

    async def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        data: bytes | aiohttp.FormData | None = None,
        headers: Mapping[str, str] | None = None,
        patience: aiohttp.ClientTimeout = QUICK,
    ) -> bytes:
        async with self._answer(method, path, query, data=data, headers=headers, patience=patience) as answer:
            try:
                body = b"".join([piece async for piece in _bounded(answer.content, ANSWER_BYTES_MAX)])
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise ApiUnreachable(f"{type(error).__name__}: {error}") from error
            return body

    @asynccontextmanager
    async def _answer(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        data: bytes | aiohttp.FormData | None = None,
        headers: Mapping[str, str] | None = None,
        patience: aiohttp.ClientTimeout = QUICK,
    ) -> AsyncGenerator[aiohttp.ClientResponse, None]:
        """Yield a successful answer. Raises ApiRefused for an error, and ApiUnreachable."""
        sent = dict(headers or {}) | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        asking = self.http.request(
            method,
            self.url + path,
            params=query,
            data=data,
            headers=sent,
            timeout=patience,
            read_bufsize=STREAM_LINE_BYTES_MAX,
        )
        try:
            answer = await asking
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiUnreachable(f"{type(error).__name__}: {error}") from error
        async with answer:
            if answer.status >= 400:
                raise await _refusal(answer)
            yield answer


def _batch(batch_id: str, tail: str = "") -> str:
    return f"/v1/batches/{quote(batch_id, safe='')}{tail}"


def _file(file_id: str, tail: str = "") -> str:
    return f"/v1/files/{quote(file_id, safe='')}{tail}"


def _fanout(fanout_id: str, tail: str = "") -> str:
    return f"/v1/fanouts/{quote(fanout_id, safe='')}{tail}"


def _named(download: Download, name: str) -> Download:
    """Return the download under a file name of ours for the browser, quoted so that it cannot break the header."""
    headers = dict(download.headers) | {"content-disposition": f'attachment; filename="{quote(name)}"'}
    return Download(headers, download.content)


def _download_of(answer: aiohttp.ClientResponse) -> Download:
    names = ("content-length", "content-disposition")
    headers = {name: answer.headers[name] for name in names if name in answer.headers}
    return Download(headers, answer.content.iter_chunked(PIECE_BYTES))


def _usage(is_of_all: bool) -> str:
    return "/v1/admin/usage" if is_of_all else "/v1/usage"


def _read(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise ApiUnreachable(f"the answer cannot be read: {error}") from error


async def _refusal(answer: aiohttp.ClientResponse) -> ApiRefused:
    body = await answer.content.read(ERROR_BYTES_MAX)
    request_id = answer.headers.get("x-request-id", "")
    try:
        error = msgspec.json.decode(body, type=api.ErrorEnvelope).error
    except msgspec.DecodeError:
        return ApiRefused(answer.status, f"The gateway answered {answer.status}.", None, request_id)
    return ApiRefused(answer.status, error.message, error.code, request_id)


async def _bounded(content: aiohttp.StreamReader, bytes_max: int) -> AsyncIterator[bytes]:
    left = bytes_max
    async for piece in content.iter_chunked(PIECE_BYTES):
        left -= len(piece)
        if left < 0:
            raise ApiUnreachable(f"the answer is longer than {bytes_max} bytes")
        yield piece


async def _pieces(upload: Upload) -> AsyncIterator[bytes]:
    while piece := await upload.read(PIECE_BYTES):
        yield piece


async def _stream_lines(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yield the lines of the stream. Raises ApiUnreachable when it breaks."""
    try:
        async for line in answer.content:
            yield line
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise ApiUnreachable(f"{type(error).__name__}: {error}") from error


async def _events(answer: aiohttp.ClientResponse) -> AsyncIterator[LiveEvent]:
    """Yield the events of the stream without their data. Raises ApiUnreachable when it breaks or ends."""
    event_id, name = "", ""
    try:
        async for raw in answer.content:
            line = raw.decode(errors="replace").rstrip("\r\n")
            field, _, value = line.partition(":")
            match field:
                case "id":
                    event_id = value.strip()
                case "event":
                    name = value.strip()
                case "" if not line and name:
                    yield LiveEvent(event_id, name)
                    event_id, name = "", ""
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise ApiUnreachable(f"{type(error).__name__}: {error}") from error
    raise ApiUnreachable("the stream ended")
