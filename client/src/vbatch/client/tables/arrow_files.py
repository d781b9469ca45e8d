"""Parquet, Arrow files and folders of Hugging Face `datasets`, read with pyarrow a batch of records at a time."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from vbatch.client.core.values import Row
from vbatch.client.errors import TableError
from vbatch.client.tables.packages import package
from vbatch.client.tables.table import ROWS_AT_ONCE, Chunk

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

SHARD = re.compile(r"(?P<split>.+)-\d{5}-of-\d{5}(-[0-9a-f]+)?\.(parquet|arrow)")
"""The names that `datasets` gives to the files of a split."""
STATE, SPLITS = "state.json", "dataset_dict.json"
FILES_MAX = 10_000
STATE_BYTES_MAX = 1 << 20


class _DataFile(msgspec.Struct):
    filename: str


class _State(msgspec.Struct):
    data_files: list[_DataFile] = msgspec.field(name="_data_files")


class _Splits(msgspec.Struct):
    splits: list[str]


@dataclass(frozen=True, slots=True)
class ArrowChunk:
    """Records in Arrow's own form, so that a join keeps their types."""

    batch: pa.RecordBatch

    def rows(self, columns: Collection[str] | None = None) -> Sequence[Row]:
        chosen = self.batch if columns is None else self.batch.select(list(columns))
        rows: list[Row] = chosen.to_pylist()
        return rows


@dataclass(frozen=True, slots=True)
class ArrowTable:
    """One or more files with the same columns, in the order of their names."""

    path: Path
    files: Sequence[Path]

    @property
    def name(self) -> str:
        return str(self.path)

    def columns(self) -> tuple[str, ...]:
        return tuple(self.schema().names)

    def schema(self) -> pa.Schema:
        """The types of the columns. Raises TableError."""
        with _translated(self.files[0]):
            return _schema_of(self.files[0])

    def chunks(self, columns: Collection[str] | None = None) -> Iterator[Chunk]:
        schema = self.schema()
        names = [name for name in schema.names if columns is None or name in columns]
        for file in self.files:
            with _translated(file):
                if not _schema_of(file).equals(schema):
                    raise TableError(f"{file} has other columns than {self.files[0].name}.")
                for batch in _batches(file, names):
                    yield ArrowChunk(batch)


def arrow_table(path: Path, split: str | None = None) -> ArrowTable:
    """Find the files of a Parquet or Arrow file, or of a folder that `datasets` or a download from its hub created.
    Raises TableError."""
    if not path.is_dir():
        return ArrowTable(path, [path])
    if (path / SPLITS).is_file():
        return _of_splits(path, split)
    if (path / STATE).is_file():
        names = _document(path / STATE, _State).data_files
        files = [path / file.filename for file in names if file.filename == Path(file.filename).name]
        return _table(path, files)
    return _of_shards(path, split)


def _of_splits(path: Path, split: str | None) -> ArrowTable:
    splits = [name for name in _document(path / SPLITS, _Splits).splits if Path(name).name == name]
    chosen = _chosen(path, splits, split)
    return arrow_table(path / chosen)


def _of_shards(path: Path, split: str | None) -> ArrowTable:
    folder = path / "data" if (path / "data").is_dir() else path
    files = sorted(file for file in folder.iterdir() if file.suffix in (".parquet", ".arrow"))
    splits = {found["split"] if (found := SHARD.fullmatch(file.name)) else "" for file in files}
    if split is None and len(splits) < 2:
        return _table(path, files)
    chosen = _chosen(path, sorted(splits), split)
    return _table(path, [file for file in files if file.name.startswith(f"{chosen}-")])


def _chosen(path: Path, splits: Sequence[str], split: str | None) -> str:
    if split is None and len(splits) == 1:
        return splits[0]
    if split in splits and split is not None:
        return split
    there = f"{path} has the splits {', '.join(each or '(without a name)' for each in splits)}."
    raise TableError(f"{there} Choose one with --split." if split is None else f"{there} There is no {split!r}.")


def _table(path: Path, files: Sequence[Path]) -> ArrowTable:
    if not files:
        raise TableError(f"{path} has no Parquet or Arrow files.")
    if len(files) > FILES_MAX:
        raise TableError(f"{path} has more than {FILES_MAX:,} files.")
    return ArrowTable(path, files)


def _document(path: Path, kind: type[T]) -> T:
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(STATE_BYTES_MAX), type=kind)
    except (OSError, msgspec.DecodeError) as error:
        raise TableError(f"{path} cannot be read: {error}.") from error


def _schema_of(file: Path) -> pa.Schema:
    if file.suffix == ".arrow":
        with _arrow_stream(file) as reader:
            return reader.schema
    return package("pyarrow.parquet", "Parquet").read_schema(file)


def _batches(file: Path, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    if file.suffix != ".arrow":
        with package("pyarrow.parquet", "Parquet").ParquetFile(file) as parquet:
            chosen = None if list(names) == parquet.schema_arrow.names else list(names)
            yield from parquet.iter_batches(batch_size=ROWS_AT_ONCE, columns=chosen)
        return
    with _arrow_stream(file) as reader:
        for batch in reader:
            chosen = batch.select(list(names))
            for start in range(0, chosen.num_rows, ROWS_AT_ONCE):
                yield chosen.slice(start, ROWS_AT_ONCE)


@contextmanager
def _arrow_stream(file: Path) -> Iterator[pa.RecordBatchReader]:
    """Open a stream. `datasets` writes the stream format; other programs write the file format under the same
    ending."""
    pyarrow = package("pyarrow", "An Arrow file")
    ipc = package("pyarrow.ipc", "An Arrow file")
    with pyarrow.memory_map(str(file)) as source:
        try:
            reader = ipc.open_stream(source)
        except pyarrow.ArrowInvalid:
            source.seek(0)
            opened = ipc.open_file(source)
            batches = (opened.get_batch(index) for index in range(opened.num_record_batches))
            reader = pyarrow.RecordBatchReader.from_batches(opened.schema, batches)
        yield reader


@contextmanager
def _translated(file: Path) -> Iterator[None]:
    pyarrow = package("pyarrow", "Parquet")
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)  # pyarrow adds more text to `strerror`
        raise TableError(f"{file} cannot be read: {reason}.") from error
    except pyarrow.ArrowException as error:
        raise TableError(f"{file} is neither Parquet nor Arrow ({error}).") from error
