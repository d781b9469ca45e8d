"""The way of each service to the log, through this process: it can be cut, or fall silent, as a network does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tests.support.postgres import free_port

BLOCK_BYTES = 65_536
HOST = "127.0.0.1"


class Link:
    """Connections of one service. What is sent while it is silent arrives late; what is cut off does not arrive."""

    def __init__(self) -> None:
        self.port = free_port()
        self._ends: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()

    def cut(self) -> int:
        """How many connections there were."""
        ends = list(self._ends)
        for end in ends:
            end.transport.abort()
        return len(ends) // 2

    def fall_silent(self) -> None:
        self._flowing.clear()

    def speak(self) -> None:
        self._flowing.set()

    async def carry(self, target: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its beginning to its end."""
        try:
            there, back = await asyncio.open_connection(HOST, target)
        except OSError:
            writer.transport.abort()
            return
        self._ends |= {writer, back}
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pump(reader, back))
                tasks.create_task(self._pump(there, writer))
        finally:
            self._ends -= {writer, back}

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while block := await source.read(BLOCK_BYTES):
                await self._flowing.wait()
                sink.write(block)
                await sink.drain()
        sink.transport.abort()


class Links:
    """Runs in a thread of its own. `target` is the port of the log, known once the stack has chosen it."""

    def __init__(self, services: tuple[str, ...]) -> None:
        self.target = 0
        self._links = {service: Link() for service in services}
        self._loop = asyncio.new_event_loop()

    def environment(self) -> dict[str, str]:
        """The settings that lead each service over its link."""
        ports = {name.upper().replace("-", "_"): link.port for name, link in self._links.items()}
        return {f"VBATCH_{section}_NATS_URL": f"nats://{HOST}:{port}" for section, port in ports.items()}

    def cut(self, service: str) -> int:
        done = asyncio.run_coroutine_threadsafe(_called(self._links[service].cut), self._loop)
        return done.result()

    @contextmanager
    def silent(self, service: str) -> Iterator[None]:
        link = self._links[service]
        self._loop.call_soon_threadsafe(link.fall_silent)
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(link.speak)

    @contextmanager
    def running(self) -> Iterator[Links]:
        stop = asyncio.Event()
        thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(stop),), name="links")
        thread.start()
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(stop.set)
            thread.join()
            self._loop.close()

    async def _serve(self, stop: asyncio.Event) -> None:
        servers = [await self._listen(link) for link in self._links.values()]
        await stop.wait()
        for server in servers:
            server.close()
        for link in self._links.values():
            link.speak()
            link.cut()
        await _end_of_others()

    async def _listen(self, link: Link) -> asyncio.Server:
        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await link.carry(self.target, reader, writer)

        return await asyncio.start_server(carry, HOST, link.port)


async def _called(cut: Callable[[], int]) -> int:
    return cut()


async def _end_of_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others)
