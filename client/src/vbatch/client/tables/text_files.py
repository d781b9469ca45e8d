"""CSV, JSON Lines and JSON, read with the standard library. A value of a CSV stays text."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TextIO

import msgspec

from vbatch.client.core.values import Row
from vbatch.client.errors import TableError
from vbatch.client.tables.packages import package
from vbatch.client.tables.table import Chunk, in_chunks
from vbatch.contracts.json_faults import json_fault, with_whole_characters

if TYPE_CHECKING:
    from _csv import Reader

    import pyarrow as pa

FIELD_BYTES_MAX = 16 << 20
"""The limit of one line of JSON Lines and, in characters, of one field of a CSV. A request line may be no larger."""
JSON_BYTES_MAX = 256 << 20
"""The limit of a JSON file, which is read as a whole."""
BOM = b"\xef\xbb\xbf"
_OBJECT = msgspec.json.Decoder(dict[str, object])


@dataclass(frozen=True, slots=True)
class CsvTable:
    """A CSV with a header (RFC 4180), in UTF-8."""

    path: Path
    delimiter: str = ","

    @property
    def name(self) -> str:
        return str(self.path)

    def columns(self) -> tuple[str, ...]:
        with _text(self.path) as file:
            return self._header(self._reader(file))

    def schema(self) -> pa.Schema:
        """The types of the columns. Every column holds text, because a CSV has no types."""
        pyarrow = package("pyarrow", "Parquet")
        return pyarrow.schema([(name, pyarrow.string()) for name in self.columns()])

    def chunks(self, columns: Collection[str] | None = None) -> Iterator[Chunk]:
        return in_chunks(self._rows())

    def _rows(self) -> Iterator[Row]:
        with _text(self.path) as file:
            reader = self._reader(file)
            header = self._header(reader)
            for number, values in enumerate(self._lines(reader), 1):
                if len(values) != len(header):
                    raise TableError(
                        f"{self.path}: row {number} (line {reader.line_num}) has {len(values)} fields where the header "
                        f"has {len(header)}."
                    )
                yield dict(zip(header, values, strict=True))

    def _reader(self, file: TextIO) -> Reader:
        csv.field_size_limit(FIELD_BYTES_MAX)
        return csv.reader(file, delimiter=self.delimiter, strict=True)

    def _header(self, reader: Reader) -> tuple[str, ...]:
        header = next(self._lines(reader), None)
        if header is None:
            raise TableError(f"{self.path} is empty: its first line must name the columns.")
        if twice := next((name for name in header if header.count(name) > 1), None):
            raise TableError(f"{self.path} has more than one column {twice!r}; the names must differ.")
        return tuple(header)

    def _lines(self, reader: Reader) -> Iterator[list[str]]:
        """Yield the fields of each line that is not blank."""
        try:
            for values in reader:
                if values:
                    yield values
        except csv.Error as error:
            raise TableError(f"{self.path}, line {reader.line_num}: this is no CSV ({error}).") from error


@dataclass(frozen=True, slots=True)
class JsonLinesTable:
    """One JSON object for each line. Rows may have different columns; the table has those of its first row."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path)

    def columns(self) -> tuple[str, ...]:
        first = next(self._rows(), None)
        if first is None:
            raise TableError(f"{self.path} has no rows.")
        return tuple(first)

    def chunks(self, columns: Collection[str] | None = None) -> Iterator[Chunk]:
        return in_chunks(self._rows())

    def _rows(self) -> Iterator[Row]:
        with _binary(self.path) as file:
            for number, line in enumerate(self._lines(file), 1):
                if line.strip():
                    yield _row(line, f"{self.path}, line {number}")

    def _lines(self, file: BinaryIO) -> Iterator[bytes]:
        is_first = True
        while line := file.readline(FIELD_BYTES_MAX + 1):
            if len(line) > FIELD_BYTES_MAX:
                raise TableError(f"{self.path} has a line of more than {FIELD_BYTES_MAX:,} bytes.")
            yield line.removeprefix(BOM) if is_first else line
            is_first = False


@dataclass(frozen=True, slots=True)
class JsonTable:
    """An array of JSON objects. Its text is read as a whole, its rows one by one."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path)

    def columns(self) -> tuple[str, ...]:
        first = next(self._rows(), None)
        if first is None:
            raise TableError(f"{self.path} has no rows.")
        return tuple(first)

    def chunks(self, columns: Collection[str] | None = None) -> Iterator[Chunk]:
        return in_chunks(self._rows())

    def _rows(self) -> Iterator[Row]:
        for number, raw in enumerate(self._array(), 1):
            yield _row(bytes(raw), f"{self.path}, row {number}")

    def _array(self) -> list[msgspec.Raw]:
        with _binary(self.path) as file:
            text = file.read(JSON_BYTES_MAX + 1).removeprefix(BOM)
        if len(text) > JSON_BYTES_MAX:
            raise TableError(f"{self.path} is larger than {JSON_BYTES_MAX:,} bytes; write it as JSON Lines (.jsonl).")
        try:
            return msgspec.json.decode(text, type=list[msgspec.Raw])
        except msgspec.DecodeError as error:
            raise TableError(f"{self.path} is no array of JSON objects. {json_fault(text, error)}") from error


def _row(raw: bytes, place: str) -> Row:
    """Decode an object; half of a surrogate pair becomes U+FFFD, as it does in a batch file."""
    try:
        return _OBJECT.decode(raw)
    except msgspec.DecodeError:
        pass
    except RecursionError as error:
        raise TableError(f"{place}: {json_fault(raw, error)}") from error
    try:
        return _OBJECT.decode(with_whole_characters(raw))
    except msgspec.DecodeError as error:
        raise TableError(f"{place} is not a JSON object. {json_fault(raw.strip(), error)}") from error


@contextmanager
def _text(path: Path) -> Iterator[TextIO]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield file
    except UnicodeDecodeError as error:
        raise TableError(f"{path} is not UTF-8 ({error.reason}); save it as UTF-8.") from error
    except OSError as error:
        raise TableError(f"{path} cannot be read: {error.strerror}.") from error


@contextmanager
def _binary(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise TableError(f"{path} cannot be read: {error.strerror}.") from error
