"""A nats-server on a disk that others fill in one go: it goes deaf, and its healer ends it when there is room again."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.journal import event
from tests.support.nats import small_journal
from tests.support.postgres import free_port
from tests.support.small_disks import MIB, SmallDisk, needs_small_disks, small_disk
from tests.support.stack import wait_until
from vbatch.journal.jetstream import JetStreamJournal, connect
from vbatch.journal.port import Unavailable
from vbatch.local import nats
from vbatch.local.probes import NotYet, answers_ok

__all__ = ["needs_small_disks"]

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("needs_small_disks")]

STORE_BYTES = 128 * MIB
READY_SECONDS_MAX = 20.0
HEALED_SECONDS_MAX = 30.0


@dataclass
class LocalServer:
    folder: Path
    port: int
    monitor_port: int

    @asynccontextmanager
    async def running(self) -> AsyncIterator[subprocess.Popen[bytes]]:
        child = self._start()
        try:
            await until(lambda: self.says() == "ok", "the server is ready", READY_SECONDS_MAX)
            yield child
        finally:
            child.terminate()
            await asyncio.to_thread(child.wait, 10)

    @asynccontextmanager
    async def journal(self) -> AsyncIterator[JetStreamJournal]:
        settings = small_journal(f"nats://127.0.0.1:{self.port}", log_bytes_max=40 * MIB, deadline_seconds=2.0)
        async with connect(settings) as journal:
            await journal.topology()
            yield journal

    def _start(self) -> subprocess.Popen[bytes]:
        store, config = self.folder / "store", self.folder / "nats.conf"
        config.write_text(nats.render(store, self.port, self.monitor_port))
        return subprocess.Popen(nats.command(config, store, self.monitor_port).argv, stderr=subprocess.DEVNULL)

    def says(self) -> str:
        try:
            return answers_ok(nats.health_url(self.monitor_port))()
        except NotYet as reason:
            return str(reason)


async def fill_up(journal: JetStreamJournal) -> int:
    """Append until nothing is acknowledged any more; the last sequence that was."""
    sequence = await journal.log.last_sequence()
    for n in range(1000):
        try:
            sequence = await journal.log.append(event(f"more {n}", os.urandom(10_000)))
        except Unavailable:
            return sequence
    raise AssertionError("the disk was not full")


async def until(holds: Callable[[], bool], what: str, seconds_max: float) -> None:
    await asyncio.to_thread(wait_until, holds, what, seconds_max)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    store = tmp_path / "store"
    store.mkdir()
    with small_disk(store, STORE_BYTES) as mounted:
        yield mounted
        mounted.free()


async def test_a_deaf_server_is_ended_when_there_is_room_and_keeps_what_it_acknowledged(
    disk: SmallDisk, tmp_path: Path
):
    server = LocalServer(tmp_path, free_port(), free_port())
    async with server.running() as child:
        async with server.journal() as journal:
            await journal.log.append(event("e1"))
            disk.fill()
            acknowledged = await fill_up(journal)
            await until(lambda: "no space left" in server.says(), "the server is deaf", HEALED_SECONDS_MAX)
            assert child.poll() is None, "a full disk is no reason to end"
        disk.free()
        await asyncio.wait_for(asyncio.to_thread(child.wait), HEALED_SECONDS_MAX)
    async with server.running(), server.journal() as journal:
        assert await journal.log.last_sequence() >= acknowledged
        assert await journal.log.append(event("later")) > acknowledged
