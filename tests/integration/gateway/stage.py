"""The gateway on a real port, seen through the official client and, where that one is too polite, through aiohttp."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import aiohttp
from openai import AsyncOpenAI
from pydantic import SecretStr
from yarl import URL

from tests.integration.results.stage import Place, results_running, tell
from tests.support.paths import paths_below
from vbatch.contracts import events as e
from vbatch.contracts.ids import ModelId
from vbatch.contracts.models import EngineKind, ModelDefinition
from vbatch.gateway.core.api_keys import NO_KEYS, ApiKeys
from vbatch.gateway.settings import Configuration, GatewaySettings
from vbatch.gateway.wiring import connection_limits, create_app, listening_socket, open_parts, serving
from vbatch.journal.port import Journal

MODELS = (
    ModelDefinition(id=ModelId("org/model:v1"), engine=EngineKind.SIMULATED),
    ModelDefinition(id=ModelId("plain"), engine=EngineKind.SIMULATED),
)
NO_SCHEDULER = "http://127.0.0.1:9"
"""Nobody listens on the discard port."""
ENVELOPE = {"message", "type", "param", "code"}
CHAT: Literal["/v1/chat/completions"] = "/v1/chat/completions"
LINE = b'{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"plain","messages":[]}}\n'


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        error = self.json["error"]
        assert set(error) == ENVELOPE
        return error


@dataclass(frozen=True)
class Frame:
    """One server-sent event."""

    id: int
    name: str
    data: Any


@dataclass(frozen=True)
class Stage:
    place: Place
    journal: Journal
    origin: str
    client: AsyncOpenAI
    session: aiohttp.ClientSession
    streams: Any
    parts: Any = None

    async def ask(self, method: str, path: str, **options: Any) -> Answer:
        url = URL(self.origin + path, encoded=True)
        async with self.session.request(method, url, **options) as response:
            return Answer(response.status, response.headers, await response.read())

    async def tell(self, *events: e.AnyEvent) -> int:
        """Append as another service would, and wait until it is projected."""
        sequence = await tell(self.journal, events)
        await self.place.has_projected(sequence)
        return sequence

    async def frames(self, batch_id: str, *, after: int | None = None, most: int | None = None) -> list[Frame]:
        """The events of a stream until it ends, or until so many have come."""
        async with asyncio.timeout(20), self.following(batch_id, after) as stream:
            return await read_frames(stream, most)

    @asynccontextmanager
    async def following(self, batch_id: str, after: int | None = None) -> AsyncIterator[aiohttp.StreamReader]:
        headers = {"Last-Event-ID": str(after)} if after is not None else {}
        url = f"{self.origin}/v1/batches/{batch_id}/events"
        async with self.session.get(url, headers=headers) as response:
            assert response.status == 200
            yield response.content

    def stored_blobs(self) -> list[Path]:
        """Every file in the blob store, partial ones too, but for the readiness probe."""
        root = self.place.home / "blobs"
        return [path for path in paths_below(root) if path.is_file() and "probes" not in path.parts]


@asynccontextmanager
async def gateway_running(
    place: Place, journal: Journal, *, keys: ApiKeys = NO_KEYS, models: Sequence[ModelDefinition] = MODELS, **more: Any
) -> AsyncIterator[Stage]:
    settings = GatewaySettings(
        home=place.home,
        nats_url=place.nats_url,
        postgres_url=SecretStr(place.postgres_url),
        port=0,
        **{"scheduler_url": NO_SCHEDULER} | more,
    )
    configuration = Configuration(settings, keys, tuple(models))
    with listening_socket(settings) as listener:
        limits = connection_limits(settings)
        async with open_parts(configuration) as (parts, _), serving(create_app(parts), parts, listener, limits) as port:
            origin = f"http://127.0.0.1:{port}"
            async with client_of(origin) as client, aiohttp.ClientSession() as session:
                yield Stage(place, journal, origin, client, session, parts.streams, parts)


@asynccontextmanager
async def stage_set(place: Place, journal: Journal, **more: Any) -> AsyncIterator[Stage]:
    """The gateway with results beside it, once everything the log holds can be read."""
    async with results_running(place, journal), gateway_running(place, journal, **more) as stage:
        await place.has_projected(await journal.log.last_sequence())
        yield stage


def client_of(origin: str, key: str = "any") -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{origin}/v1", api_key=key, max_retries=0, _strict_response_validation=True)


async def read_frames(stream: aiohttp.StreamReader, most: int | None = None) -> list[Frame]:
    found: list[Frame] = []
    while most is None or len(found) < most:
        frame = await _read_frame(stream)
        if frame is None:
            break
        found.append(frame)
    return found


async def _read_frame(stream: aiohttp.StreamReader) -> Frame | None:
    """The next frame with an event; comments and retry hints are passed over. None at the end."""
    fields: dict[str, str] = {}
    while line := (await stream.readline()).decode():
        name, _, value = line.rstrip("\n").partition(": ")
        if name:
            fields[name] = value
        elif "event" in fields:
            return Frame(int(fields["id"]), fields["event"], json.loads(fields["data"]))
        else:
            fields = {}
    return None
