"""What the console asks of the world: the API, under the key of one visitor."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from vbatch.console.core import api_objects as api


class ApiRefused(Exception):
    """The API said no, in its own words."""

    def __init__(self, status: int, message: str, code: str | None, request_id: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.request_id = request_id

    @property
    def is_about_the_key(self) -> bool:
        return self.status == 401


class ApiUnreachable(Exception):
    """The gateway does not answer; a retry can help."""


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """One message of the API's live stream; `id` is empty where the stream cannot be resumed behind it."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Download:
    """A file on its way to the browser."""

    headers: Mapping[str, str]
    content: AsyncIterator[bytes]


class Upload(Protocol):
    """A file that the browser sent."""

    @property
    def filename(self) -> str | None: ...

    async def read(self, size: int) -> bytes: ...


class Api(Protocol):
    """The gateway's HTTP API. Every method raises ApiRefused, ApiUnreachable."""

    async def me(self) -> api.Me: ...
    async def server(self) -> api.Server: ...
    async def runners(self) -> api.Runners: ...
    async def registry(self) -> api.Registry: ...
    async def queue(self) -> api.Queue: ...
    async def why(self, batch_id: str) -> api.Why: ...
    async def batches(self, query: Mapping[str, str]) -> api.BatchPage: ...
    async def batch(self, batch_id: str) -> api.Batch: ...
    async def batch_json(self, batch_id: str) -> bytes: ...
    async def lines(self, batch_id: str, query: Mapping[str, str]) -> api.LinePage: ...
    async def line(self, batch_id: str, line: int) -> api.LineDetail: ...
    async def faults(self, batch_id: str) -> api.FaultKinds: ...
    async def series(self, batch_id: str) -> api.Series: ...
    async def events(self, query: Mapping[str, str]) -> api.EventPage: ...
    async def files(self, query: Mapping[str, str]) -> api.FilePage: ...
    async def file(self, file_id: str) -> api.StoredFile: ...
    async def upload(self, upload: Upload, filename: str) -> api.StoredFile: ...
    async def check(self, file_id: str, endpoint: str) -> api.FileCheck: ...
    async def delete_file(self, file_id: str) -> None: ...
    async def create(self, ask: Mapping[str, object], idempotency_key: str) -> api.Batch: ...
    async def steer(self, batch_id: str, action: str) -> api.Batch: ...
    async def prioritize(self, batch_id: str, priority: int) -> api.Batch: ...

    def download(self, file_id: str) -> AbstractAsyncContextManager[Download]: ...

    def live(self, last_id: str, batch_id: str | None) -> AbstractAsyncContextManager[AsyncIterator[LiveEvent]]:
        """What happens, from now on or behind `last_id`."""
        ...
