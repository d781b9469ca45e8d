"""Finds out which kind of table a source is: a file by its format, a folder, a frame, or the rows of a program."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vbatch.client.core.values import Row
from vbatch.client.errors import TableError
from vbatch.client.tables.arrow_files import ArrowChunk, arrow_table
from vbatch.client.tables.table import ROWS_AT_ONCE, Chunk, Table, in_chunks
from vbatch.client.tables.text_files import CsvTable, JsonLinesTable, JsonTable

if TYPE_CHECKING:
    import pyarrow as pa


class Format(StrEnum):
    CSV = "csv"
    TSV = "tsv"
    JSON = "json"
    JSONL = "jsonl"
    PARQUET = "parquet"
    ARROW = "arrow"


ENDINGS: Mapping[str, Format] = {f".{each}": each for each in Format} | {
    ".ndjson": Format.JSONL,
    ".pq": Format.PARQUET,
}

Source = str | PathLike[str] | Iterable[Row] | object
"""A path, a pandas or polars frame, an Arrow table, or an iterable of mappings such as a `datasets.Dataset`."""


def format_of(path: Path) -> Format | None:
    """Return the format for the ending of the name; None if no format has that ending."""
    return ENDINGS.get(path.suffix.lower())


def open_table(source: Source, *, format: Format | None = None, split: str | None = None) -> Table:
    """Find out what the source is. Nothing in a file is read yet. Raises TableError."""
    if isinstance(source, str | PathLike):
        return _file(Path(source), format, split)
    if hasattr(source, "to_batches"):
        return _ArrowFrame(source)
    if hasattr(source, "iter_rows") and hasattr(source, "columns"):
        return _PolarsFrame(source)
    if hasattr(source, "itertuples"):
        return _PandasFrame(source)
    if isinstance(source, Iterable) and not isinstance(source, Iterator | bytes):
        return _Rows(source)
    raise TableError(
        "A table is a path, a pandas or polars frame, a pyarrow table, or a list of mappings, not "
        f"{type(source).__name__}. Make a list of an iterator: the rows are read more than once."
    )


def _file(path: Path, format: Format | None, split: str | None) -> Table:
    if path.is_dir():
        return arrow_table(path, split)
    match format or format_of(path):
        case Format.CSV:
            return CsvTable(path)
        case Format.TSV:
            return CsvTable(path, delimiter="\t")
        case Format.JSONL:
            return JsonLinesTable(path)
        case Format.JSON:
            return JsonTable(path)
        case Format.PARQUET | Format.ARROW:
            return arrow_table(path)
        case None:
            raise TableError(f"The name of {path} tells no format. Known are: {', '.join(ENDINGS)}; give --format.")


@dataclass(frozen=True, slots=True)
class _Rows:
    content: Iterable[Any]
    name: str = "The table"

    def columns(self) -> tuple[str, ...]:
        first = next(iter(self.content), None)
        if first is None:
            raise TableError(f"{self.name} has no rows.")
        return tuple(map(str, _row(first)))

    def chunks(self, columns: Collection[str] | None = None) -> Iterator[Chunk]:
        return in_chunks(map(_row, self.content))


def _row(row: object) -> Row:
    if not isinstance(row, Mapping):
        raise TableError(f"A row must be a mapping of columns to values, not {type(row).__name__}.")
    return row


@dataclass(frozen=True, slots=True)
class _PandasFrame:
    frame: Any
    name: str = "The frame"

    def columns(self) -> tuple[str, ...]:
        return tuple(map(str, self.frame.columns))

    def chunks(self, columns: Collection[str] | None = None) -> Iterator[Chunk]:
        return in_chunks(self._rows())

    def _rows(self) -> Iterator[Row]:
        """Yield the rows. A missing value (NaN, NaT, NA) becomes null."""
        names = self.columns()
        for start in range(0, len(self.frame), ROWS_AT_ONCE):
            part = self.frame.iloc[start : start + ROWS_AT_ONCE]
            known = part.astype(object).where(part.notna(), None)
            for values in known.itertuples(index=False, name=None):
                yield dict(zip(names, values, strict=True))


@dataclass(frozen=True, slots=True)
class _PolarsFrame:
    frame: Any
    name: str = "The frame"

    def columns(self) -> tuple[str, ...]:
        return tuple(self.frame.columns)

    def chunks(self, columns: Collection[str] | None = None) -> Iterator[Chunk]:
        return in_chunks(self.frame.iter_rows(named=True, buffer_size=ROWS_AT_ONCE))


@dataclass(frozen=True, slots=True)
class _ArrowFrame:
    frame: Any
    name: str = "The table"

    def columns(self) -> tuple[str, ...]:
        return tuple(self.frame.schema.names)

    def schema(self) -> pa.Schema:
        return self.frame.schema

    def chunks(self, columns: Collection[str] | None = None) -> Iterator[Chunk]:
        for batch in self.frame.to_batches(max_chunksize=ROWS_AT_ONCE):
            yield ArrowChunk(batch)
