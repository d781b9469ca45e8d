"""`AsyncClient`: the server from a program with an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import ExitStack, aclosing
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Self
from uuid import uuid4

import httpx2 as httpx

from vbatch.client import collected
from vbatch.client.core import routes
from vbatch.client.core.answers import Answer, parse_answer
from vbatch.client.core.joining import DEFAULT_COLUMN, AnswerColumns
from vbatch.client.core.live_events import LiveEvent
from vbatch.client.core.progress import Progress, ProgressFold
from vbatch.client.core.reading import EventReading, FileReading, ResultsReading
from vbatch.client.core.requests import RequestTemplate
from vbatch.client.core.retries import Retries
from vbatch.client.errors import Unreachable
from vbatch.client.objects import Batch, StoredFile, read
from vbatch.client.settings import api_key_from, url_from
from vbatch.client.submission import submission
from vbatch.client.tables.disk_index import temporary_file
from vbatch.client.tables.joins import JoinReport
from vbatch.client.tables.sources import Format, Source
from vbatch.client.tables.table_join import table_join
from vbatch.client.transport import EVENT_BYTES_MAX, SILENCE_SECONDS_MAX, AsyncTransport, Upload

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow


class AsyncClient:
    """One server. Use it as an asynchronous context manager, or `close` it.

    It does what `Client` does, with the same arguments and errors. Tables are read and written in a thread. If the
    server sends nothing for `silence_seconds_max`, a method raises Silent.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        silence_seconds_max: float = SILENCE_SECONDS_MAX,
    ) -> None:
        url, api_key = url_from(url), api_key_from(api_key)
        self.transport = AsyncTransport(url, api_key, silence_seconds_max=silence_seconds_max)

    async def submit(
        self,
        source: Source,
        template: RequestTemplate | None = None,
        *,
        endpoint: str | None = None,
        completion_window: str = routes.DEFAULT_WINDOW,
        metadata: Mapping[str, str] | None = None,
        priority: int = 0,
        format: Format | None = None,
        split: str | None = None,
    ) -> Batch:
        """As `Client.submit`."""
        with ExitStack() as stack:
            prepared = await asyncio.to_thread(
                stack.enter_context, submission(source, template, endpoint=endpoint, format=format, split=split)
            )
            file = await self.upload(prepared.filename, prepared.content)
            return await self.create(
                file.id,
                endpoint=prepared.endpoint,
                completion_window=completion_window,
                metadata={**prepared.metadata, **(metadata or {})},
                priority=priority,
            )

    async def upload(self, filename: str, content: BinaryIO) -> StoredFile:
        """As `Client.upload`."""
        return read(await self.transport.ask("POST", routes.FILES, upload=Upload(filename, content)), StoredFile)

    async def create(
        self,
        file_id: str,
        *,
        endpoint: str,
        completion_window: str = routes.DEFAULT_WINDOW,
        metadata: Mapping[str, str] | None = None,
        priority: int = 0,
    ) -> Batch:
        """As `Client.create`."""
        body = routes.new_batch(
            file_id,
            endpoint=endpoint,
            completion_window=completion_window,
            metadata=metadata or {},
            priority=priority,
        )
        return await self._created(body)

    async def batch(self, batch_id: str) -> Batch:
        return read(await self.transport.ask("GET", routes.batch(batch_id)), Batch)

    async def cancel(self, batch_id: str) -> Batch:
        """As `Client.cancel`."""
        return read(await self.transport.ask("POST", routes.batch(batch_id, "cancel")), Batch)

    async def events(self, batch_id: str, *, after: int = 0) -> AsyncGenerator[LiveEvent, None]:
        """As `Client.events`."""
        reading = EventReading(batch_id, after)
        while True:
            trouble: Unreachable | None = None
            try:
                async with self.transport.open("GET", reading.path, headers=reading.headers) as response:
                    if response.status_code == httpx.codes.NO_CONTENT:
                        return
                    async for sent in httpx.EventSource(response, EVENT_BYTES_MAX):
                        if event := reading.take(sent.id, sent.event, sent.data):
                            yield event
            except Unreachable as error:
                trouble = error
            await asyncio.sleep(reading.pause(trouble))

    async def watch(self, batch_id: str) -> AsyncIterator[Progress]:
        """As `Client.watch`."""
        fold = ProgressFold()
        async with aclosing(self.events(batch_id)) as events:
            async for event in events:
                yield fold.apply(event)
                if fold.progress.is_over:
                    return

    async def wait(self, batch_id: str) -> Batch:
        """As `Client.wait`."""
        async for _progress in self.watch(batch_id):
            pass
        return await self.batch(batch_id)

    def results(self, batch_id: str, *, after_byte: int = 0, follow: bool = False) -> AsyncAnswers:
        """As `Client.results`."""
        return AsyncAnswers(self._lines(batch_id, after_byte, follow=follow))

    async def join(
        self,
        batch_id: str,
        source: Source,
        output: str | Path,
        *,
        id_column: str | None = None,
        answer_column: str = DEFAULT_COLUMN,
        format: Format | None = None,
        split: str | None = None,
    ) -> JoinReport:
        """As `Client.join`."""
        batch = await self.batch(batch_id)
        columns = AnswerColumns(answer_column)
        joining = table_join(batch, source, Path(output), columns, id_column=id_column, format=format, split=split)
        await asyncio.to_thread(joining.check)
        with temporary_file() as lines:
            async for line in self._all_lines(batch):
                lines.write(line + b"\n")
            lines.seek(0)
            return await asyncio.to_thread(joining.write, lines)

    async def close(self) -> None:
        await self.transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _created(self, body: object) -> Batch:
        headers, retries = {"Idempotency-Key": uuid4().hex}, Retries(tries_max=2)
        while True:
            try:
                return read(await self.transport.ask("POST", routes.BATCHES, json=body, headers=headers), Batch)
            except Unreachable as trouble:
                await asyncio.sleep(retries.pause(trouble))

    async def _all_lines(self, batch: Batch) -> AsyncIterator[bytes]:
        async for line, _next_byte in self._lines(batch.id, 0, follow=False):
            yield line
        if batch.error_file_id is not None:
            async for line in self._file_lines(batch.error_file_id):
                yield line

    async def _file_lines(self, file_id: str) -> AsyncIterator[bytes]:
        reading = FileReading(file_id)
        while True:
            try:
                async with self.transport.open("GET", reading.path, headers=reading.headers) as response:
                    async for piece in response.aiter_bytes():
                        for line in reading.feed(piece):
                            yield line
                return
            except Unreachable as error:
                trouble = error
            await asyncio.sleep(reading.pause(trouble))

    async def _lines(self, batch_id: str, after_byte: int, *, follow: bool) -> AsyncIterator[tuple[bytes, int]]:
        reading = ResultsReading(batch_id, after_byte, is_following=follow)
        while not reading.is_done:
            trouble: Unreachable | None = None
            try:
                async with self.transport.open("GET", reading.path) as response:
                    reading.begin(response.headers)
                    async for piece in response.aiter_bytes():
                        for line in reading.feed(piece):
                            yield line
            except Unreachable as error:
                trouble = error
            await asyncio.sleep(reading.pause(trouble))


class AsyncAnswers(AsyncIterator[Answer]):
    """Answers, read as they are requested. The methods collect the answers that are left."""

    def __init__(self, lines: AsyncIterator[tuple[bytes, int]]) -> None:
        self._lines = lines

    async def __anext__(self) -> Answer:
        line, next_byte = await anext(self._lines)
        return parse_answer(line, next_byte=next_byte)

    async def to_pandas(self) -> pandas.DataFrame:
        """As `Answers.to_pandas`."""
        return collected.to_pandas([answer async for answer in self])

    async def to_polars(self) -> polars.DataFrame:
        """As `Answers.to_polars`."""
        return collected.to_polars([answer async for answer in self])

    async def to_arrow(self) -> pyarrow.Table:
        """As `Answers.to_arrow`."""
        return collected.to_arrow([answer async for answer in self])
