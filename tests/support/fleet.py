"""Simulated engines that listen on TCP, as replicas of a fleet: started, killed and started again on the same port."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.postgres import free_port

START_SECONDS_MAX = 30.0
POLL_SECONDS = 0.05


@dataclass
class Server:
    """One replica; `options` are those of the simulated engine. Its work log outlives it, if it writes one."""

    folder: Path
    model: str
    options: Sequence[str] = ()
    port: int = field(default_factory=free_port)
    host: str = "127.0.0.1"
    has_work_log: bool = True
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/v1"

    @property
    def name(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def work_log(self) -> Path:
        return self.folder / f"{self.name}.log"

    def start(self) -> Server:
        argv = [sys.executable, "-m", "vbatch.gpu_runner.simulated", "--model", self.model]
        argv += ["--host", self.host, "--port", str(self.port), *self.options]
        argv += ["--work-log", str(self.work_log)] if self.has_work_log else []
        self.process = subprocess.Popen(argv, stderr=subprocess.DEVNULL, env=os.environ | {"VBATCH_PARENT_DEATH": "1"})
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self.is_healthy():
            assert time.monotonic() < deadline and self.process.poll() is None, f"{self.name} did not start"
            time.sleep(POLL_SECONDS)
        return self

    def is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.name}/health", timeout=1.0) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill it as a power cut does: without a word to those who wait for an answer."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def notes(self, what: str) -> list[tuple[float, str]]:
        """When it `started` or `answered` which body, in order: seconds since 1970, and the body's digest."""
        if not self.work_log.exists():
            return []
        notes = (line.split() for line in self.work_log.read_text().splitlines())
        return [(float(note[0]), note[2]) for note in notes if note[1] == what]

    def times(self, what: str) -> list[float]:
        return [at for at, _ in self.notes(what)]

    def order(self, what: str) -> list[str]:
        return [name for _, name in self.notes(what)]

    def answered(self) -> Counter[str]:
        """How often it answered each body, by digest."""
        return Counter(self.order("answered"))


@contextmanager
def servers(folder: Path, count: int, *options: str, model: str = "fleet") -> Iterator[list[Server]]:
    """Prepare so many replicas without starting them; those that run at the end are killed."""
    made = [Server(folder, model, options) for _ in range(count)]
    try:
        yield made
    finally:
        for server in made:
            server.kill()


@asynccontextmanager
async def recording(tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that answers everything with an empty object; yields its port and the heads of what it was asked."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), b":0"
                )
                await reader.readexactly(int(length.partition(b":")[2]))
                heads.append(head)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls) as server:
        yield server.sockets[0].getsockname()[1], heads
