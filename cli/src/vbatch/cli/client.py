"""The gateway's HTTP API as this command uses it. Every answer is the server's own bytes; `api_types` decodes them.

It is based on `vbatch.client`. Transport errors become Unreachable; 4xx and 5xx answers become Refused with the
server's own text.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import BinaryIO

from vbatch import client
from vbatch.cli.exits import Misused, Refused, Unreachable
from vbatch.client import AsyncClient, LiveEvent
from vbatch.client.core import routes
from vbatch.client.transport import SILENCE_SECONDS_MAX, Upload

DOWNLOAD_CHUNK_BYTES = 1 << 18
HINTS = {401: " Give the right one with --api-key or VBATCH_API_KEY."}


class Server:
    """One gateway. Created by `connect`."""

    def __init__(self, server: AsyncClient) -> None:
        self._client = server

    async def send(self, filename: str, content: BinaryIO) -> bytes:
        """Upload a batch input file, streamed from its source."""
        with reported():
            return await self._client.transport.ask("POST", routes.FILES, upload=Upload(filename, content))

    async def create(
        self,
        file_id: str,
        endpoint: str,
        window: str,
        metadata: Mapping[str, str],
        priority: int = 0,
        models: Sequence[str] = (),
    ) -> bytes:
        given = {"endpoint": endpoint, "completion_window": window}
        body = routes.new_batch(file_id, **given, metadata=metadata, priority=priority)
        return await self._ask("POST", routes.BATCHES, json=body | ({"models": list(models)} if models else {}))

    async def batch(self, batch_id: str) -> bytes:
        return await self._ask("GET", routes.batch(batch_id))

    async def cancel(self, batch_id: str) -> bytes:
        return await self._ask("POST", routes.batch(batch_id, "cancel"))

    async def pause(self, batch_id: str) -> bytes:
        return await self._ask("POST", routes.batch(batch_id, "pause"))

    async def resume(self, batch_id: str) -> bytes:
        return await self._ask("POST", routes.batch(batch_id, "resume"))

    async def prioritize(self, batch_id: str, priority: int) -> bytes:
        return await self._ask("POST", routes.batch(batch_id), json={"priority": priority})

    async def what_if(self, batch_id: str, priority: int) -> bytes:
        return await self._ask("GET", f"{routes.batch(batch_id, 'what-if')}?priority={priority}")

    async def fanout(self, fanout_id: str) -> bytes:
        return await self._ask("GET", routes.fanout(fanout_id))

    async def fanout_results(self, fanout_id: str) -> AsyncIterator[bytes]:
        """Yield the answers of all models, one line for each request."""
        async for piece in self._download(routes.fanout(fanout_id, "results")):
            yield piece

    async def why(self, batch_id: str) -> bytes:
        return await self._ask("GET", routes.batch(batch_id, "why"))

    async def queue(self) -> bytes:
        return await self._ask("GET", "/v1/queue")

    async def batches(self, limit: int) -> bytes:
        return await self._ask("GET", f"/v1/batches?limit={limit}")

    async def models(self) -> bytes:
        return await self._ask("GET", "/v1/models")

    async def ask(self, method: str, path: str, body: object = None) -> bytes:
        """Call any other route, by its path."""
        return await self._ask(method, path, json=body)

    async def results(self, batch_id: str) -> AsyncIterator[bytes]:
        """Yield every outcome so far, as output lines, in the order they were recorded."""
        async for piece in self._download(routes.batch(batch_id, "results")):
            yield piece

    async def download(self, path: str) -> AsyncIterator[bytes]:
        """Yield a long answer of any other route, piece by piece."""
        async for piece in self._download(path):
            yield piece

    async def merged(self, batch_id: str) -> AsyncIterator[bytes]:
        """Yield one output line for each request of the batch and its retries."""
        async for piece in self._download(routes.batch(batch_id, "results") + "?merged=true"):
            yield piece

    async def content(self, file_id: str) -> AsyncIterator[bytes]:
        async for piece in self._download(routes.content(file_id)):
            yield piece

    async def events(self, batch_id: str) -> AsyncGenerator[LiveEvent, None]:
        """Yield every event of the batch, each once, until it is over, across lost connections."""
        with reported():
            async with aclosing(self._client.events(batch_id)) as events:
                async for event in events:
                    yield event

    async def _ask(self, method: str, path: str, *, json: object = None) -> bytes:
        with reported():
            return await self._client.transport.ask(method, path, json=json)

    async def _download(self, path: str) -> AsyncIterator[bytes]:
        with reported():
            async with self._client.transport.open("GET", path) as response:
                async for piece in response.aiter_bytes(DOWNLOAD_CHUNK_BYTES):
                    yield piece


@asynccontextmanager
async def connect(
    url: str, api_key: str | None, *, silence_seconds_max: float = SILENCE_SECONDS_MAX
) -> AsyncIterator[Server]:
    """Open a session. Nothing is sent yet."""
    with reported():
        server = AsyncClient(url, api_key=api_key, silence_seconds_max=silence_seconds_max)
    async with server:
        yield Server(server)


@contextmanager
def reported() -> Iterator[None]:
    """Raise the errors of `vbatch.client` as those of this command."""
    try:
        yield
    except client.Unreachable as error:
        raise Unreachable(str(error)) from error
    except client.Refused as error:
        raise Refused(_sentence(str(error)) + HINTS.get(error.status, "")) from error
    except client.TableError as error:
        raise Misused(str(error)) from error
    except client.BadUrl as error:
        raise Misused(str(error)) from error


def _sentence(words: str) -> str:
    return words if words.endswith((".", "!", "?")) else f"{words}."
