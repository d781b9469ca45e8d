"""Three nats-servers on loopback that keep every stream together."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import nats

from tests.support.nats import NatsServer
from tests.support.postgres import free_port

SIZE = 3
META_SECONDS_MAX = 30.0


@dataclass(frozen=True)
class NatsCluster:
    servers: dict[str, NatsServer]

    @property
    def url(self) -> str:
        return ",".join(server.url for server in self.servers.values())

    async def leader(self, stream: str) -> NatsServer:
        """Return the server that accepts writes to the stream."""
        client = await nats.connect(self.url.split(","))
        try:
            reply = await client.request(f"$JS.API.STREAM.INFO.{stream}", b"", timeout=10)
        finally:
            await client.close()
        return self.servers[json.loads(reply.data)["cluster"]["leader"]]


@contextlib.asynccontextmanager
async def nats_cluster() -> AsyncIterator[NatsCluster]:
    """Run a fresh cluster in folders of its own; everything is removed afterwards."""
    routes = [free_port() for _ in range(SIZE)]
    async with contextlib.AsyncExitStack() as stack:
        servers = {}
        for number, port in enumerate(routes):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vbatch-nats-")))
            servers[f"n{number}"] = NatsServer(folder, extra=_member(f"n{number}", port, routes))
        for server in servers.values():
            stack.callback(server.kill)
        await asyncio.gather(*(server.start() for server in servers.values()))
        cluster = NatsCluster(servers)
        await _agreed(cluster)
        yield cluster


async def _agreed(cluster: NatsCluster) -> None:
    """Return when the servers have chosen the one that creates streams."""
    client = await nats.connect(cluster.url.split(","))
    try:
        async with asyncio.timeout(META_SECONDS_MAX):
            while True:
                with contextlib.suppress(nats.errors.Error, TimeoutError):
                    reply = await client.request("$JS.API.INFO", b"", timeout=1)
                    if "error" not in json.loads(reply.data):
                        return
                await asyncio.sleep(0.05)
    finally:
        await client.close()


def _member(name: str, port: int, routes: list[int]) -> str:
    listed = ", ".join(f'"nats://127.0.0.1:{route}"' for route in routes)
    return f"""
server_name: {name}
cluster {{
  name: vbatch
  listen: "127.0.0.1:{port}"
  routes: [{listed}]
}}
"""
