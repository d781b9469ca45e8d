"""An application for Ray Serve: each replica starts an engine with an OpenAI API of its own and passes requests to it.

docs/fleets.md says how to run it. It needs `ray[serve]` only; the engine has an environment of its own.
"""

from __future__ import annotations

import asyncio
import ctypes
import shlex
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
from ray import serve
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

START_SECONDS_MAX = 600.0
STOP_SECONDS_MAX = 30.0
REQUEST_SECONDS_MAX = 3_600.0
POLL_SECONDS = 0.1
PARENT_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of prctl(2): the engine ends with its replica, also when that is killed."""
BASE = "http://engine"


@serve.deployment(max_ongoing_requests=256, health_check_period_s=2)
class Engine:
    """One replica. `command` starts a server that takes `--uds PATH`, such as `vllm serve org/model`."""

    def __init__(self, command: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="engine-")
        socket = str(Path(self._folder.name) / "engine.sock")
        self._process = subprocess.Popen([*shlex.split(command), "--uds", socket], preexec_fn=_end_with_parent)
        self._socket = socket
        self._session: aiohttp.ClientSession | None = None
        self._is_ready = False

    async def __call__(self, request: Request) -> Response:
        """Pass the request on unchanged; 503 where the engine does not answer, so that the client asks again."""
        headers = {"Content-Type": request.headers.get("content-type", "application/json")}
        asked = self._client().request(
            request.method, f"{BASE}{request.url.path}", data=await request.body(), headers=headers
        )
        try:
            answer = await asked
            if answer.content_type == "text/event-stream":
                return StreamingResponse(_pieces(answer), answer.status, media_type=answer.content_type)
            return Response(await answer.read(), answer.status, media_type=answer.content_type)
        except aiohttp.ClientError:
            return Response("the engine does not answer", 503)

    async def check_health(self) -> None:
        """Called by Ray Serve, which replaces a replica that raises. The first call waits until the engine is ready."""
        async with asyncio.timeout(START_SECONDS_MAX):
            while not self._is_ready and self._process.poll() is None:
                self._is_ready = await self._answers()
                await asyncio.sleep(POLL_SECONDS)
        if self._process.poll() is not None:
            raise RuntimeError(f"the engine ended with code {self._process.returncode}")

    def __del__(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()

    async def _answers(self) -> bool:
        try:
            async with self._client().get(f"{BASE}/health") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            limit = aiohttp.ClientTimeout(total=REQUEST_SECONDS_MAX)
            self._session = aiohttp.ClientSession(connector=aiohttp.UnixConnector(self._socket, limit=0), timeout=limit)
        return self._session


def application(arguments: dict[str, str]) -> serve.Application:
    """The `import_path` of the configuration; `args` names the engine's `command`."""
    return Engine.bind(arguments["command"])


async def _pieces(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    async with answer:
        async for piece in answer.content.iter_any():
            yield piece


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGTERM)
