"""A real Label Studio 1.23 on SQLite, and what its people do in it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.paths import ROOT

PROGRAM = ROOT / ".tools" / "label-studio" / "bin" / "label-studio"
PREPARED = PROGRAM.parents[1] / "prepared"
LEGACY_TOKEN = "0123456789abcdef0123456789abcdef01234567"
START_SECONDS_MAX = 300.0
POLL_SECONDS = 0.5
PAGE_TASKS = 1_000
MAIL, PASSWORD = "admin@example.com", "Passw0rd!x"
ENVIRONMENT = {
    "COLLECT_ANALYTICS": "false",
    "LATEST_VERSION_CHECK": "false",
    "SENTRY_DSN": "",
    "FRONTEND_SENTRY_DSN": "",
    "SSRF_PROTECTION_ENABLED": "false",
}
"""Nothing leaves the machine, and webhooks may go to loopback."""


@dataclass
class LabelStudioServer:
    folder: Path
    port: int
    _process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [str(PROGRAM), "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(self.port)]
        command += ["--data-dir", str(self.folder), "--username", MAIL, "--password", PASSWORD]
        command += ["--user-token", LEGACY_TOKEN, "--enable-legacy-api-token"]
        with (self.folder.parent / "label-studio.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, env=os.environ | ENVIRONMENT, stdout=log, stderr=log, start_new_session=True
            )

    def stop(self) -> None:
        """With its children: Django's development server has one."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    async def is_ready(self) -> None:
        async with asyncio.timeout(START_SECONDS_MAX), aiohttp.ClientSession() as http:
            while True:
                if await _answers(http, f"{self.url}/health"):
                    return
                await asyncio.sleep(POLL_SECONDS)


@dataclass
class People:
    """Asks Label Studio as its own pages do."""

    url: str
    http: aiohttp.ClientSession

    async def ask(self, method: str, path: str, body: object = None) -> Any:
        headers = {"Authorization": f"Token {LEGACY_TOKEN}"}
        async with self.http.request(method, self.url + path, json=body, headers=headers) as response:
            assert response.status < 400, await response.text()
            return await response.json() if response.status != 204 else None

    async def tasks(self, project_id: int) -> list[dict[str, Any]]:
        """All tasks of a project, the oldest first."""
        found: list[dict[str, Any]] = []
        total = 1
        while len(found) < total:
            where = f"project={project_id}&fields=all&page_size={PAGE_TASKS}&page={len(found) // PAGE_TASKS + 1}"
            page = await self.ask("GET", f"/api/tasks?{where}")
            found, total = found + page["tasks"], int(page["total"])
        return sorted(found, key=lambda task: int(task["id"]))

    async def annotate(self, task_id: int, seconds: float = 2.0, **values: Any) -> int:
        """Submit an annotation with a value for each of these controls; return its id."""
        body = {"result": [_region(name, value) for name, value in values.items()], "lead_time": seconds}
        return int((await self.ask("POST", f"/api/tasks/{task_id}/annotations/", body))["id"])

    async def change(self, annotation_id: int, **values: Any) -> None:
        body = {"result": [_region(name, value) for name, value in values.items()]}
        await self.ask("PATCH", f"/api/annotations/{annotation_id}/", body)


def _region(name: str, value: Any) -> dict[str, Any]:
    kinds = {"score": ("rating", "rating"), "edited": ("textarea", "text"), "note": ("textarea", "text")}
    kind, key = kinds.get(name, ("choices", "choices"))
    held = value if key == "rating" or isinstance(value, list) else [value]
    return {"from_name": name, "to_name": "answer", "type": kind, "value": {key: held}}


async def _answers(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(url) as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


@asynccontextmanager
async def people_of(url: str) -> AsyncIterator[People]:
    async with aiohttp.ClientSession() as http:
        yield People(url, http)


def provide_data(folder: Path) -> None:
    """An empty Label Studio, not started yet: its first start, which makes its database, is done once for all runs."""
    if not PREPARED.exists():
        folder.mkdir()
        server = LabelStudioServer(folder, free_port())
        server.start()
        try:
            asyncio.run(server.is_ready())
        finally:
            server.stop()
        shutil.copytree(folder, PREPARED)
        shutil.rmtree(folder)
    shutil.copytree(PREPARED, folder)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
