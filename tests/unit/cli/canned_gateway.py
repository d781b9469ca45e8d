"""A small real HTTP server that answers as a gateway does, so that the command is tested over the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec
from aiohttp import web
from typer.testing import CliRunner, Result

from tests.support import events as samples
from vbatch.cli.main import app
from vbatch.contracts import events as e
from vbatch.contracts.catalogue import BY_TYPE

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
CHUNK = {
    "at": samples.NOON.isoformat(),
    "batch_id": samples.BATCH,
    "lines": [1, 2, 3],
    "succeeded": 1,
    "failed": 2,
    "usage": {"input_tokens": 5, "output_tokens": 7},
}
STORY: tuple[e.Event, ...] = (
    samples.BATCH_CREATED,
    samples.BATCH_VALIDATED,
    samples.BATCH_DISPATCHED,
    samples.CHUNK_COMPLETED,
    samples.FINALIZING,
    next(event for event in samples.SAMPLES if isinstance(event, e.BatchCompleted)),
)
BATCH = {
    "id": samples.BATCH,
    "status": "completed",
    "endpoint": "/v1/chat/completions",
    "created_at": 1893499200,
    "input_file_id": samples.FILE,
    "output_file_id": "file-out",
    "error_file_id": None,
    "request_counts": {"total": 3, "completed": 1, "failed": 2},
    "extra": "kept",
}


ENTRY = {
    "batch_id": samples.BATCH,
    "model": "org/model",
    "status": "in_progress",
    "priority": 20,
    "waiting_requests": 1400,
    "queue_position": 3,
    "starts_at": 4102444800,
    "eta": {"earliest": 4102445000, "likely": 4102446000, "latest": 4102447000},
    "waiting_for": "2 batches to run first",
    "admission": {"feasible": False, "earliest_completion_window": "36h"},
}
WHY = ENTRY | {
    "reason": "it is the shortest of 2 batches for its model, with about 4 min of work left",
    "runs_first": ["batch_own"],
    "others_first": 1,
    "remedies": [
        "With priority 70 it would start in about 1 min and end in about 9 min; other batches would end later."
    ],
}


@dataclass
class CannedGateway:
    """What it was asked, and what it will say."""

    url: str = ""
    asked: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    resumed_after: list[str | None] = field(default_factory=list)
    batch: dict[str, object] = field(default_factory=lambda: dict(BATCH))
    refusal: tuple[int, str] | None = None
    cut_after: int = len(STORY)

    async def run(self, *arguments: str) -> Result:
        """The command with these arguments against this server, in a thread of its own."""
        asked = [*arguments, "--url", self.url]
        return await asyncio.to_thread(CliRunner().invoke, app, asked)

    async def run_here(self, *arguments: str) -> Result:
        """A command that asks no server."""
        return await asyncio.to_thread(CliRunner().invoke, app, list(arguments))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path}")
        self.bodies.append(await request.read())
        if self.refusal:
            status, message = self.refusal
            return web.json_response({"error": {"message": message}}, status=status)
        return await self._routes(request)(request)

    def _routes(self, request: web.Request) -> Handler:
        match request.path.rsplit("/", 1)[-1]:
            case "events":
                return self._stream
            case "files":
                return _json({"id": samples.FILE, "filename": "in.jsonl", "bytes": 3})
            case "content" | "results":
                return _text('{"custom_id":"a"}\n')
            case "fanout_1":
                fanout = {"id": "fanout_1", "models": ["a"], "is_over": True, "request_counts": {}}
                return _json(fanout | {"batches": [self.batch]})
            case "why":
                return _json(WHY)
            case "queue":
                return _json({"object": "queue", "data": [ENTRY], "others": {"batches": 2}})
            case "models":
                return _json({"object": "list", "data": [{"id": "org/model"}]})
            case "batches" if request.method == "GET":
                return _json({"object": "list", "data": [self.batch], "has_more": False})
            case _:
                return _json(self.batch)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        self.resumed_after.append(request.headers.get("Last-Event-ID"))
        after = int(request.headers.get("Last-Event-ID", "0"))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for sequence, event in list(enumerate(STORY, 1))[after : after + self.cut_after]:
            await response.write(frame(sequence, event))
        return response


def frame(sequence: int, event: e.Event) -> bytes:
    """The event as the gateway streams it: chunks as summaries."""
    is_chunk = isinstance(event, e.ChunkCompleted)
    body = msgspec.json.encode(CHUNK if is_chunk else event)
    return b": beat\n\nid: %d\nevent: %s\ndata: %s\n\n" % (sequence, BY_TYPE[type(event)].name.encode(), body)


@asynccontextmanager
async def canned_gateway() -> AsyncIterator[CannedGateway]:
    gateway = CannedGateway()
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


def _json(document: object) -> Handler:
    async def answer(_request: web.Request) -> web.Response:
        return web.json_response(document)

    return answer


def _text(text: str) -> Handler:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=text)

    return answer
