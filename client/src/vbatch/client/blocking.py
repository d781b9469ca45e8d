"""`Client`: the server from a program that waits for each answer."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
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
from vbatch.client.tables.joins import JoinReport
from vbatch.client.tables.sources import Format, Source
from vbatch.client.tables.table_join import table_join
from vbatch.client.transport import EVENT_BYTES_MAX, Transport, Upload

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow


class Client:
    """One server. Use it as a context manager, or `close` it.

    Without arguments it reads VBATCH_URL and VBATCH_API_KEY, and otherwise uses the server on this machine. Every
    method raises Unreachable when no server answers, and Refused when the server refuses.
    """

    def __init__(self, url: str | None = None, *, api_key: str | None = None) -> None:
        self.transport = Transport(url_from(url), api_key_from(api_key))

    def submit(
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
        """Upload requests and create a batch from them.

        `source` is a batch input file or a list of its lines as mappings; with a `template` it is a table: a CSV, TSV,
        JSON, JSON Lines, Parquet or Arrow file, a folder of Hugging Face `datasets`, a pandas or polars frame, a
        pyarrow table, or a list of mappings. Raises TableError before anything is sent.
        """
        with submission(source, template, endpoint=endpoint, format=format, split=split) as prepared:
            file = self.upload(prepared.filename, prepared.content)
            return self.create(
                file.id,
                endpoint=prepared.endpoint,
                completion_window=completion_window,
                metadata={**prepared.metadata, **(metadata or {})},
                priority=priority,
            )

    def upload(self, filename: str, content: BinaryIO) -> StoredFile:
        """Upload a batch input file, which is read while it is sent."""
        return read(self.transport.ask("POST", routes.FILES, upload=Upload(filename, content)), StoredFile)

    def create(
        self,
        file_id: str,
        *,
        endpoint: str,
        completion_window: str = routes.DEFAULT_WINDOW,
        metadata: Mapping[str, str] | None = None,
        priority: int = 0,
    ) -> Batch:
        """Create a batch from a stored file. If the answer is lost, the request is sent again and still creates only
        one batch."""
        body = routes.new_batch(
            file_id,
            endpoint=endpoint,
            completion_window=completion_window,
            metadata=metadata or {},
            priority=priority,
        )
        return self._created(body)

    def batch(self, batch_id: str) -> Batch:
        return read(self.transport.ask("GET", routes.batch(batch_id)), Batch)

    def cancel(self, batch_id: str) -> Batch:
        """Cancel a batch; finished answers are kept."""
        return read(self.transport.ask("POST", routes.batch(batch_id, "cancel")), Batch)

    def events(self, batch_id: str, *, after: int = 0) -> Iterator[LiveEvent]:
        """Yield every event of a batch behind the one with the id `after`, each once, until the batch is over.

        A connection that breaks is opened again behind the last event. Raises Unreachable after several unsuccessful
        tries in a row.
        """
        reading = EventReading(batch_id, after)
        while True:
            trouble: Unreachable | None = None
            try:
                with self.transport.open("GET", reading.path, headers=reading.headers) as response:
                    if response.status_code == httpx.codes.NO_CONTENT:
                        return
                    for sent in httpx.EventSource(response, EVENT_BYTES_MAX):
                        if event := reading.take(sent.id, sent.event, sent.data):
                            yield event
            except Unreachable as error:
                trouble = error
            time.sleep(reading.pause(trouble))

    def watch(self, batch_id: str) -> Iterator[Progress]:
        """Yield the progress of a batch after each of its events, until it is over."""
        fold = ProgressFold()
        for event in self.events(batch_id):
            yield fold.apply(event)
            if fold.progress.is_over:
                return

    def wait(self, batch_id: str) -> Batch:
        """Return the batch once it is over."""
        for _progress in self.watch(batch_id):
            pass
        return self.batch(batch_id)

    def results(self, batch_id: str, *, after_byte: int = 0, follow: bool = False) -> Answers:
        """Return the answers so far, in the order in which they were recorded; with `follow` also those to come, until
        the batch is over. Requests that never ran, because the batch was cancelled or expired, are not among them.

        A connection that breaks is opened again behind the last answer. To continue in another process, keep the
        `next_byte` of the last answer and pass it as `after_byte`.
        """
        return Answers(self._lines(batch_id, after_byte, follow=follow))

    def join(
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
        """Write a table again with the answers of a batch beside its columns, as CSV, TSV, JSON Lines or Parquet.

        `source` is the table that was submitted. `id_column` defaults to the one that was named then. Raises
        TableError; then `output` is unchanged.
        """
        batch = self.batch(batch_id)
        columns = AnswerColumns(answer_column)
        joining = table_join(batch, source, Path(output), columns, id_column=id_column, format=format, split=split)
        joining.check()
        return joining.write(self._all_lines(batch))

    def close(self) -> None:
        self.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _created(self, body: object) -> Batch:
        headers, retries = {"Idempotency-Key": uuid4().hex}, Retries(tries_max=2)
        while True:
            try:
                return read(self.transport.ask("POST", routes.BATCHES, json=body, headers=headers), Batch)
            except Unreachable as trouble:
                time.sleep(retries.pause(trouble))

    def _all_lines(self, batch: Batch) -> Iterator[bytes]:
        """Yield what is recorded, then the error file, which explains why requests never ran when a batch ended
        early."""
        for line, _next_byte in self._lines(batch.id, 0, follow=False):
            yield line
        if batch.error_file_id is not None:
            yield from self._file_lines(batch.error_file_id)

    def _file_lines(self, file_id: str) -> Iterator[bytes]:
        reading = FileReading(file_id)
        while True:
            try:
                with self.transport.open("GET", reading.path, headers=reading.headers) as response:
                    for piece in response.iter_bytes():
                        yield from reading.feed(piece)
                return
            except Unreachable as error:
                trouble = error
            time.sleep(reading.pause(trouble))

    def _lines(self, batch_id: str, after_byte: int, *, follow: bool) -> Iterator[tuple[bytes, int]]:
        reading = ResultsReading(batch_id, after_byte, is_following=follow)
        while not reading.is_done:
            trouble: Unreachable | None = None
            try:
                with self.transport.open("GET", reading.path) as response:
                    reading.begin(response.headers)
                    for piece in response.iter_bytes():
                        yield from reading.feed(piece)
            except Unreachable as error:
                trouble = error
            time.sleep(reading.pause(trouble))


class Answers(Iterator[Answer]):
    """Answers, read as they are requested. The methods collect the answers that are left."""

    def __init__(self, lines: Iterator[tuple[bytes, int]]) -> None:
        self._lines = lines

    def __next__(self) -> Answer:
        line, next_byte = next(self._lines)
        return parse_answer(line, next_byte=next_byte)

    def to_pandas(self) -> pandas.DataFrame:
        """Return a frame with custom_id and the columns that a join adds. Needs pandas."""
        return collected.to_pandas(self)

    def to_polars(self) -> polars.DataFrame:
        """Return a frame with custom_id and the columns that a join adds. Needs polars."""
        return collected.to_polars(self)

    def to_arrow(self) -> pyarrow.Table:
        """Return a table with custom_id and the columns that a join adds. Needs pyarrow."""
        return collected.to_arrow(self)
