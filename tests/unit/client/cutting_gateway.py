"""A small real HTTP server that sends answers of a batch as the gateway does, and breaks its connections on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

BATCH = {
    "id": "batch_1",
    "status": "completed",
    "endpoint": "/v1/chat/completions",
    "created_at": 1893499200,
    "input_file_id": "file-1",
    "metadata": {"id_column": "id"},
}


@dataclass
class CuttingGateway:
    """`content` is what is recorded, `errors` the error file; each answer ends after `bytes_sent` bytes, whatever its
    head says."""

    url: str = ""
    content: bytes = b""
    errors: bytes = b""
    bytes_sent: int = 1 << 20
    is_over: bool = True
    creates_lost: int = 0
    asked: list[str] = field(default_factory=list)
    more: dict[str, object] = field(default_factory=dict)
    """What else the batch says of itself."""
    keys: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path_qs)
        match request.path.rsplit("/", 1)[-1]:
            case "content":
                return await self._content(request)
            case "results":
                return await self._results(request)
            case "files":
                await request.read()
                return web.json_response({"id": "file-1", "filename": "in.jsonl", "bytes": 3})
            case "batches":
                return await self._create(request)
            case _:
                return web.json_response(BATCH | self.more | ({"error_file_id": "file-errors"} if self.errors else {}))

    async def _create(self, request: web.Request) -> web.StreamResponse:
        self.keys.append(request.headers["Idempotency-Key"])
        if len(self.keys) <= self.creates_lost:
            _break(request)
        return web.json_response(BATCH)

    async def _content(self, request: web.Request) -> web.StreamResponse:
        """The error file, which ends early as well."""
        start = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        left = self.errors[start:]
        response = web.StreamResponse(headers={"Content-Length": str(len(left))})
        await response.prepare(request)
        await response.write(left[: self.bytes_sent])
        if len(left) > self.bytes_sent:
            _break(request)
        return response

    async def _results(self, request: web.Request) -> web.StreamResponse:
        start, is_followed = int(request.query["after_byte"]), "follow" in request.query
        head = {"X-Incomplete": "false" if self.is_over else "true", "Content-Type": "application/x-ndjson"}
        if not is_followed:
            head["X-Next-Byte"] = str(len(self.content))
        response = web.StreamResponse(headers=head)
        await response.prepare(request)
        left = self.content[start:]
        await response.write(left[: self.bytes_sent])
        self.is_over |= is_followed
        if len(left) > self.bytes_sent:
            _break(request)
        return response


def _break(request: web.Request) -> None:
    assert request.transport is not None
    request.transport.close()


@asynccontextmanager
async def cutting_gateway() -> AsyncIterator[CuttingGateway]:
    gateway = CuttingGateway()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", gateway.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    gateway.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield gateway
    finally:
        await runner.cleanup()
