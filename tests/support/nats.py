"""A real nats-server for one test: fsync on every write, free ports, and a folder that outlives a kill."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sysconfig
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nats

from vbatch.journal.settings import MIB, JournalSettings

PR_SET_PDEATHSIG = 1
READY_SECONDS = 20.0
STOP_SECONDS = 10.0


class NatsServer:
    """`start` after `kill` or `stop` opens the same store on the same port."""

    def __init__(self, folder: Path, *, file_store_max: str = "2GB", extra: str = "") -> None:
        self._folder = folder
        self._file_store_max = file_store_max
        self._extra = extra
        self._port = -1
        self._monitor_port = -1
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self._port}"

    @property
    def monitor_url(self) -> str:
        return f"http://127.0.0.1:{self._monitor_port}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    async def start(self) -> None:
        """Return when the server accepts clients and JetStream has recovered its streams."""
        config = self._folder / "nats.conf"
        config.write_text(self._configuration())
        binary = Path(sysconfig.get_path("scripts")) / "nats-server"
        self._process = _spawn(binary, config, self._folder / "nats.log")
        async with asyncio.timeout(READY_SECONDS):
            await self._learn_ports(self._process)
            await self._wait_ready()

    def kill(self) -> None:
        """End it as a power cut would, as far as a process can tell."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def reload(self, extra: str) -> None:
        """Add to the configuration of the running server."""
        with (self._folder / "nats.conf").open("a") as config:  # its ports may not change, not even from -1
            config.write(extra)
        os.kill(self.pid, signal.SIGHUP)

    def freeze(self) -> None:
        """Let it neither answer nor close: what a stalled disk or host looks like."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(STOP_SECONDS)
            self._process = None

    async def _learn_ports(self, process: subprocess.Popen[bytes]) -> None:
        path = self._folder / f"nats-server_{process.pid}.ports"
        while not path.exists() or not path.read_bytes().strip():
            if process.poll() is not None:
                raise RuntimeError((self._folder / "nats.log").read_text()[-2000:])
            await asyncio.sleep(0.005)
        ports = json.loads(path.read_text())
        self._port = urlsplit(ports["nats"][0]).port or -1
        self._monitor_port = urlsplit(ports["monitoring"][0]).port or -1

    async def _wait_ready(self) -> None:
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                info = json.loads((await reader.readline()).removeprefix(b"INFO ") or b"{}")
                writer.close()
                if info.get("jetstream"):
                    return
            await asyncio.sleep(0.005)

    def _configuration(self) -> str:
        return f"""
listen: "127.0.0.1:{self._port}"
http: "127.0.0.1:{self._monitor_port}"
ports_file_dir: "{self._folder}"
max_payload: 4MB
jetstream {{
  store_dir: "{self._folder / "store"}"
  sync_interval: always
  max_file_store: {self._file_store_max}
}}
{self._extra}
"""


@contextlib.asynccontextmanager
async def overheard(server: NatsServer, *subjects: str) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Yield a function that waits until a message came on each subject: until someone has asked the server."""
    client = await nats.connect(server.url)
    try:
        heard = [await client.subscribe(subject) for subject in subjects]
        await client.flush()

        async def until_asked() -> None:
            for each in heard:
                await each.next_msg(READY_SECONDS)

        yield until_asked
    finally:
        await client.close()


def small_journal(url: str, name: str = "test", **changes: Any) -> JournalSettings:
    """Limits that suit a test: little space, short waits."""
    settings = JournalSettings(
        url=url,
        name=name,
        attempt_seconds=1.0,
        deadline_seconds=10.0,
        heartbeat_seconds=0.3,
        ack_wait_seconds=1.0,
        log_bytes_max=256 * MIB,
        work_bytes_max=16 * MIB,
        dead_bytes_max=16 * MIB,
    )
    return replace(settings, **changes)


@contextlib.asynccontextmanager
async def nats_server(*, file_store_max: str = "2GB", extra: str = "") -> AsyncIterator[NatsServer]:
    """Run a fresh server in a folder of its own; both are removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="vbatch-nats-") as folder:
        server = NatsServer(Path(folder), file_store_max=file_store_max, extra=extra)
        await server.start()
        try:
            yield server
        finally:
            server.kill()


def _spawn(binary: Path, config: Path, log_path: Path) -> subprocess.Popen[bytes]:
    with log_path.open("ab") as log:
        return subprocess.Popen([binary, "-c", config], stdout=log, stderr=log, preexec_fn=_die_with_parent)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
