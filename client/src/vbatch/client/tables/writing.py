"""Writes tables with answers: CSV and JSON Lines with the standard library, Parquet with pyarrow. A file appears under
its name once it is complete."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from vbatch.client.core.answers import Answer
from vbatch.client.core.joining import AnswerColumns
from vbatch.client.core.values import NotText, json_of, text_of
from vbatch.client.errors import TableError
from vbatch.client.tables.arrow_files import ArrowChunk
from vbatch.client.tables.packages import package
from vbatch.client.tables.sources import Format, format_of
from vbatch.client.tables.table import Chunk, Table, TypedTable

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

ROW_GROUP_BYTES_MAX = 32 << 20
OUTPUT_FORMATS = (Format.CSV, Format.TSV, Format.JSONL, Format.PARQUET)


class Writer(Protocol):
    def write(self, chunk: Chunk, answers: Sequence[Answer | None]) -> None:
        """Write each row with its answer."""
        ...


def output_format(path: Path) -> Format:
    """Return the format that the name asks for. Raises TableError for a name that does not indicate a format that can
    be written."""
    found = format_of(path)
    if found not in OUTPUT_FORMATS:
        endings = ", ".join(f".{each}" for each in OUTPUT_FORMATS)
        raise TableError(f"The name of {path} must end in one of {endings}, which says the format to write.")
    return found


@contextmanager
def writing(path: Path, table: Table, columns: AnswerColumns, *, has_vectors: bool) -> Iterator[Writer]:
    """Yield a writer for rows of `table` with their answers. Raises TableError."""
    opened = _WRITERS[output_format(path)]
    part = path.with_name(f"{path.name}.part")
    try:
        with opened(part, table, columns, has_vectors) as writer:
            yield writer
        os.replace(part, path)
    except OSError as error:
        raise TableError(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        part.unlink(missing_ok=True)


class _CsvWriter:
    def __init__(self, file: TextIO, table: Table, columns: AnswerColumns, delimiter: str) -> None:
        self._columns, self._added = all_columns(table), columns
        self._csv = csv.writer(file, delimiter=delimiter, lineterminator="\r\n")
        self._csv.writerow([*self._columns, *columns.names])

    def write(self, chunk: Chunk, answers: Sequence[Answer | None]) -> None:
        for row, answer in zip(chunk.rows(), answers, strict=True):
            values = [*(row.get(name) for name in self._columns), *self._added.values(answer)]
            self._csv.writerow(map(_cell, values))


class _JsonLinesWriter:
    def __init__(self, write: Callable[[bytes], object], columns: AnswerColumns) -> None:
        self._write, self._added = write, columns

    def write(self, chunk: Chunk, answers: Sequence[Answer | None]) -> None:
        for row, answer in zip(chunk.rows(), answers, strict=True):
            try:
                self._write(json_of(self._added.joined(row, answer)) + b"\n")
            except NotText as error:
                raise TableError(f"A row {error}; write Parquet instead.") from error


class _ParquetWriter:
    """Collects records into groups of about ROW_GROUP_BYTES_MAX, which readers of Parquet expect."""

    def __init__(self, writer: pq.ParquetWriter, schema: pa.Schema, columns: AnswerColumns) -> None:
        self._pyarrow = package("pyarrow", "Parquet")
        self._writer, self._schema, self._added = writer, schema, columns
        self._pending: list[pa.RecordBatch] = []

    def write(self, chunk: Chunk, answers: Sequence[Answer | None]) -> None:
        names = [name for name in self._schema.names if name not in self._added.names]
        batch = self._records(chunk, names)
        added = zip(*map(self._added.values, answers), strict=True)
        types = [self._schema.field(name).type for name in self._added.names]
        arrays = [self._pyarrow.array(values, kind) for values, kind in zip(added, types, strict=True)]
        self._pending.append(self._pyarrow.record_batch([*batch.columns, *arrays], schema=self._schema))
        if sum(each.nbytes for each in self._pending) >= ROW_GROUP_BYTES_MAX:
            self.flush()

    def flush(self) -> None:
        if self._pending:
            self._writer.write_table(self._pyarrow.Table.from_batches(self._pending, self._schema))
        self._pending = []

    def _records(self, chunk: Chunk, names: Sequence[str]) -> pa.RecordBatch:
        if isinstance(chunk, ArrowChunk):
            return chunk.batch
        fields = self._pyarrow.schema([self._schema.field(name) for name in names])
        rows = [{name: row.get(name) for name in names} for row in chunk.rows()]
        return self._pyarrow.RecordBatch.from_pylist(rows, schema=fields)


@contextmanager
def _csv(path: Path, table: Table, columns: AnswerColumns, has_vectors: bool) -> Iterator[Writer]:
    with path.open("w", encoding="utf-8", newline="") as file:
        yield _CsvWriter(file, table, columns, ",")


@contextmanager
def _tsv(path: Path, table: Table, columns: AnswerColumns, has_vectors: bool) -> Iterator[Writer]:
    with path.open("w", encoding="utf-8", newline="") as file:
        yield _CsvWriter(file, table, columns, "\t")


@contextmanager
def _json_lines(path: Path, table: Table, columns: AnswerColumns, has_vectors: bool) -> Iterator[Writer]:
    with path.open("wb") as file:
        yield _JsonLinesWriter(file.write, columns)


@contextmanager
def _parquet(path: Path, table: Table, columns: AnswerColumns, has_vectors: bool) -> Iterator[Writer]:
    pyarrow, parquet = package("pyarrow", "Parquet"), package("pyarrow.parquet", "Parquet")
    try:
        schema = _schema(pyarrow, table, columns, has_vectors)
        with parquet.ParquetWriter(path, schema, compression="zstd") as opened:
            writer = _ParquetWriter(opened, schema, columns)
            yield writer
            writer.flush()
    except pyarrow.ArrowException as error:
        raise TableError(f"{table.name} cannot be written as Parquet ({error}); write .jsonl instead.") from error


_WRITERS: Mapping[Format, Any] = {
    Format.CSV: _csv,
    Format.TSV: _tsv,
    Format.JSONL: _json_lines,
    Format.PARQUET: _parquet,
}


def _schema(pyarrow: ModuleType, table: Table, columns: AnswerColumns, has_vectors: bool) -> pa.Schema:
    schema = table.schema() if isinstance(table, TypedTable) else _inferred(pyarrow, table)
    answer = pyarrow.list_(pyarrow.float32()) if has_vectors else pyarrow.string()
    types = (answer, pyarrow.string(), pyarrow.string(), pyarrow.int64(), pyarrow.int64())
    for name, kind in zip(columns.names, types, strict=True):
        schema = schema.append(pyarrow.field(name, kind))
    return schema


def _inferred(pyarrow: ModuleType, table: Table) -> pa.Schema:
    """Return types for all rows together: integers and fractions become fractions, null becomes any other type."""
    schemas = [pyarrow.schema([])]
    for chunk in table.chunks():
        schemas = [pyarrow.unify_schemas([*schemas, _schema_of(pyarrow, chunk)], promote_options="permissive")]
    return schemas[0]


def _schema_of(pyarrow: ModuleType, chunk: Chunk) -> pa.Schema:
    """Return the schema of all rows. `from_pylist` alone knows only the columns of the first row."""
    rows = chunk.rows()
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: pyarrow.array([row.get(name) for row in rows]).type for name in names}
    return pyarrow.schema(list(columns.items()))


def all_columns(table: Table) -> tuple[str, ...]:
    """Return the columns of all rows: those of JSON Lines may differ from row to row."""
    if isinstance(table, TypedTable):
        return table.columns()
    names = dict.fromkeys(table.columns())
    for chunk in table.chunks():
        for row in chunk.rows():
            names |= dict.fromkeys(row)
    return tuple(names)


def _cell(value: object) -> str:
    """Return the text of a cell. Null is an empty cell."""
    if value is None:
        return ""
    try:
        return text_of(value)
    except NotText as error:
        raise TableError(f"A value {error}, which a CSV cannot hold; write Parquet instead.") from error
