"""What is uploaded for a batch: a batch input file unchanged, a list of request lines, or a table with a template."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import BinaryIO

import msgspec

from vbatch.client.core.requests import ID_COLUMN_KEY, RequestTemplate
from vbatch.client.core.values import NotText, json_of
from vbatch.client.errors import TableError
from vbatch.client.tables.disk_index import temporary_file
from vbatch.client.tables.request_files import request_file, rows_of
from vbatch.client.tables.sources import Format, Source, open_table

FIRST_LINE_BYTES_MAX = 16 << 20
BOM = b"\xef\xbb\xbf"
REQUESTS_NAME = "requests.jsonl"


class _First(msgspec.Struct):
    url: str


@dataclass(frozen=True, slots=True)
class Submission:
    """A batch input file, ready to be sent; `metadata` says how its answers are joined later."""

    filename: str
    content: BinaryIO
    endpoint: str
    metadata: Mapping[str, str]


@contextmanager
def submission(
    source: Source,
    template: RequestTemplate | None,
    *,
    endpoint: str | None = None,
    format: Format | None = None,
    split: str | None = None,
) -> Iterator[Submission]:
    """Prepare the upload; nothing is sent. Without a template or an `endpoint`, the first request names the endpoint.
    Raises TableError."""
    if template is not None:
        table = open_table(source, format=format, split=split)
        metadata = {ID_COLUMN_KEY: template.id_column} if template.id_column is not None else {}
        with request_file(table, template) as made:
            yield Submission(_filename(source), made.content, template.endpoint, metadata)
    elif isinstance(source, str | PathLike):
        with _opened(Path(source)) as content:
            yield Submission(Path(source).name, content, endpoint or endpoint_of(content, str(source)), {})
    else:
        with _written(source) as content:
            yield Submission(REQUESTS_NAME, content, endpoint or endpoint_of(content, "the list"), {})


def endpoint_of(content: BinaryIO, name: str) -> str:
    """Return the `url` of the first line and rewind the content to its beginning. Raises TableError."""
    first = content.readline(FIRST_LINE_BYTES_MAX).removeprefix(BOM)
    content.seek(0)
    try:
        return msgspec.json.decode(first, type=_First).url
    except msgspec.DecodeError as error:
        raise TableError(
            f"The first line of {name} is no request with a url: correct it, or give the endpoint (--endpoint). To "
            "send the rows of a table, give a template (--prompt)."
        ) from error


def _filename(source: Source) -> str:
    if not isinstance(source, str | PathLike):
        return REQUESTS_NAME
    return f"{Path(source).resolve().stem}.jsonl"


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise TableError(f"{path} cannot be read: {error.strerror}.") from error
    with file:
        yield file


@contextmanager
def _written(source: Source) -> Iterator[BinaryIO]:
    """Yield the requests of a list as lines of a file without a name."""
    table = open_table(source)
    with temporary_file() as file:
        for number, request in enumerate(rows_of(table, table.columns()), 1):
            try:
                file.write(json_of(request) + b"\n")
            except NotText as error:
                raise TableError(f"Request {number} {error}.") from error
        file.seek(0)
        yield file
