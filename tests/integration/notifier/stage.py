"""Around the notifier for its tests: a receiver that answers as told, the service as a process, a gateway beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web

from tests.integration.gateway.stage import Stage, gateway_running
from tests.integration.results.stage import Place, eventually
from tests.support.postgres import free_port
from vbatch.chassis.files import write_atomically
from vbatch.journal.port import Journal

DELIVERY_EVENTS = ("queued", "delivered", "failed", "exhausted", "disabled")
NO_POSTGRES = "postgresql://nobody@127.0.0.1:9/none"
"""Webhooks need no read model."""


@dataclass(frozen=True)
class Posted:
    """One request as it came."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


@dataclass
class Receiver:
    """Answers each POST with the next of `statuses`, the last one for ever; `headers` go with every answer."""

    url: str = ""
    statuses: list[int] = field(default_factory=lambda: [200])
    headers: dict[str, str] = field(default_factory=dict)
    text: str = ""
    posted: list[Posted] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.posted.append(Posted(dict(request.headers), await request.read()))
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return web.Response(status=status, text=self.text or f"answer {len(self.posted)}", headers=self.headers)

    async def has(self, count: int) -> None:
        """Wait until so many have come."""

        async def is_so() -> bool:
            return len(self.posted) >= count

        await eventually(is_so)


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    taker = Receiver()
    app = web.Application()
    app.router.add_post("/{path:.*}", taker.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    taker.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield taker
    finally:
        await runner.cleanup()


@dataclass
class Notifier:
    """`python -m vbatch.notifier`, started and killed as a supervisor would."""

    place: Place
    port: int
    failpoints: Path
    log_path: Path
    may_be_private: bool = True
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        variables = {
            "VBATCH_HOME": str(self.place.home),
            "VBATCH_NATS_URL": self.place.nats_url,
            "VBATCH_NOTIFIER_PORT": str(self.port),
            "VBATCH_WEBHOOKS_ALLOW_PRIVATE": str(self.may_be_private).lower(),
            "VBATCH_FAILPOINTS": str(self.failpoints),
            "VBATCH_PARENT_DEATH": "1",
        }
        with self.log_path.open("ab") as log:
            argv = [sys.executable, "-m", "vbatch.notifier"]
            self.process = subprocess.Popen(argv, env=os.environ | variables, stdout=log, stderr=log)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def arm(self, place: str) -> None:
        """The next process to come there kills itself."""
        write_atomically(self.failpoints / f"{place}.armed", b"KILL")

    async def has_died(self) -> None:
        assert self.process is not None
        process = self.process

        async def is_so() -> bool:
            return process.poll() is not None

        await eventually(is_so)
        assert process.returncode == -signal.SIGKILL, self.log_path.read_text()[-2000:]

    async def is_ready(self) -> None:
        async def is_so() -> bool:
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{self.port}/ready") as response:
                    return response.status == 200

        await eventually(is_so)


@contextmanager
def notifier_of(place: Place, folder: Path) -> Iterator[Notifier]:
    failpoints = folder / "failpoints"
    failpoints.mkdir(exist_ok=True)
    place.home.mkdir(parents=True, exist_ok=True)
    notifier = Notifier(place, free_port(), failpoints, folder / "notifier.log")
    try:
        yield notifier
    finally:
        if notifier.process is not None:
            notifier.process.kill()
            notifier.process.wait()


@dataclass(frozen=True)
class Scene:
    stage: Stage
    notifier: Notifier
    receiver: Receiver
    journal: Journal

    async def until_names(self, *expected: str) -> None:
        """Wait until these deliveries' events are in the log, and no others."""

        async def is_so() -> bool:
            return [name for name in await self.names() if name in DELIVERY_EVENTS] == list(expected)

        await eventually(is_so)

    async def until_disabled(self, path: str) -> None:
        """Wait until the gateway shows it."""

        async def is_so() -> bool:
            return not (await self.stage.ask("GET", path)).json["is_enabled"]

        await eventually(is_so)

    async def names(self) -> Sequence[str]:
        """The webhook events of the log so far, in order."""
        head = await self.journal.log.last("evt.webhook.>")
        found: list[str] = []
        if head is None:
            return found
        async with self.journal.log.tail(0, ["evt.webhook.>"]) as tail:
            async for records in tail:
                found += [record.subject.rsplit(".", 1)[1] for record in records]
                if records[-1].sequence >= head.sequence:
                    return found
        return found


@asynccontextmanager
async def scene_set(place: Place, journal: Journal, folder: Path, *, runs: bool = True) -> AsyncIterator[Scene]:
    """A gateway, a receiver and, if it `runs`, a notifier; the test plays everybody else."""
    async with receiver() as taker:
        with notifier_of(place, folder) as notifier:
            if runs:
                notifier.start()
                await notifier.is_ready()
            url = f"http://127.0.0.1:{notifier.port}"
            async with gateway_running(place, journal, notifier_url=url, webhooks_allow_private=True) as stage:
                yield Scene(stage, notifier, taker, journal)
