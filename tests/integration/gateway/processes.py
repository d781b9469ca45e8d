"""The gateway and results as operators run them: processes of their own on a real nats-server and PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.integration.gateway.stage import Answer
from tests.support.nats import NatsServer, nats_server
from tests.support.postgres import PostgresServer, free_port, running_postgres
from vbatch.journal.jetstream import connect
from vbatch.journal.port import Journal
from vbatch.journal.settings import JournalSettings

READY_SECONDS = 60.0
STOP_SECONDS = 15.0
ASK_SECONDS = 60.0
MODELS = '[[model]]\nid = "plain"\nengine = "simulated"\n'


@dataclass
class Stack:
    """The running parts, and how to speak to them and stop them."""

    home: Path
    nats: NatsServer
    postgres: PostgresServer
    origin: str
    journal: Journal
    environment: dict[str, str]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, service: str) -> None:
        with (self.home / f"{service}.log").open("ab") as log:
            argv = [sys.executable, "-m", f"vbatch.{service}"]
            self.running[service] = subprocess.Popen(argv, env=self.environment, stdout=log, stderr=log)

    def end(self, service: str) -> int:
        process = self.running.pop(service)
        process.terminate()
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise

    def log_text(self, service: str) -> str:
        return (self.home / f"{service}.log").read_text()

    async def ask(self, method: str, path: str, **options: Any) -> Answer:
        limit = aiohttp.ClientTimeout(total=ASK_SECONDS)
        async with aiohttp.ClientSession(timeout=limit) as session:
            async with session.request(method, self.origin + path, **options) as response:
                return Answer(response.status, response.headers, await response.read())

    async def ready(self, status: int = 200) -> None:
        """Wait until `/ready` answers `status`."""
        deadline = time.monotonic() + READY_SECONDS
        while await self._readiness() != status:
            if time.monotonic() > deadline:
                raise AssertionError(f"/ready is not {status}:\n{self.log_text('gateway')[-3000:]}")
            await asyncio.sleep(0.05)

    async def _readiness(self) -> int:
        try:
            return (await self.ask("GET", "/ready")).status
        except aiohttp.ClientConnectionError:
            return 0


@asynccontextmanager
async def stack(folder: Path, **changes: str) -> AsyncIterator[Stack]:
    """Everything up and ready; `changes` are variables of the services' environment. Stopped by pid afterwards."""
    home, models, port = folder / "home", folder / "models.toml", free_port()
    home.mkdir()
    models.write_text(MODELS)
    with running_postgres(folder) as postgres:
        async with (
            nats_server(file_store_max="16GB") as nats,
            connect(JournalSettings(url=nats.url, name="test")) as journal,
        ):
            variables = {
                "VBATCH_HOME": str(home),
                "VBATCH_NATS_URL": nats.url,
                "VBATCH_POSTGRES_URL": postgres.url(),
                "VBATCH_GATEWAY_PORT": str(port),
                "VBATCH_MODELS_FILE": str(models),
                "VBATCH_RESULTS_PORT": "0",
                "VBATCH_PARENT_DEATH": "1",
            }
            up = Stack(home, nats, postgres, f"http://127.0.0.1:{port}", journal, os.environ | variables | changes)
            try:
                up.start("results")
                up.start("gateway")
                await up.ready()
                yield up
            finally:
                for service in list(up.running):
                    up.end(service)
