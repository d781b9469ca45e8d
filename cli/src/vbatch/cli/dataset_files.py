"""Writes an export to the disk: as JSON lines, as Parquet, or as a folder that Hugging Face `datasets` loads."""

from __future__ import annotations

import importlib
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import BinaryIO, assert_never

import msgspec

from vbatch.cli.client import Server
from vbatch.cli.exits import Misused

Row = dict[str, object]
"""A decoded line."""
CARD = "README.md"


class Container(StrEnum):
    """The format in which the lines are written."""

    JSONL = "jsonl"
    PARQUET = "parquet"
    HUGGING_FACE = "hf"


async def write_export(
    server: Server, sources: Mapping[str, str], card: bytes, output: Path, container: Container
) -> int:
    """Write the lines of each split, which are at these paths of the server; return how many lines there were.

    A file appears under its name when it is complete. Raises Misused when something cannot be written.
    """
    try:
        match container:
            case Container.JSONL:
                with _whole_file(output) as file:
                    return await _write_lines(file, _lines(server, list(sources.values())))
            case Container.PARQUET:
                parquet = _parquet()
                table = parquet.table_of(await _rows(server, list(sources.values())))
                with _whole_file(output) as file:
                    parquet.write_table(file, table)
                return int(table.num_rows)
            case Container.HUGGING_FACE:
                rows = {split: await _rows(server, [path]) for split, path in sources.items()}
                return _write_folder({split: each for split, each in rows.items() if each}, card, output)
            case _:
                assert_never(container)
    except OSError as error:
        raise Misused(f"{output} cannot be written: {error.strerror}.") from error


def _write_folder(rows: Mapping[str, list[Row]], card: bytes, folder: Path) -> int:
    """Write `data/<split>-00000-of-00001.parquet` for each split, and the card, which names them for a loader."""
    if folder.exists() and any(folder.iterdir()):
        raise Misused(f"{folder} is not empty: name a new folder.")
    parquet = _parquet()
    (folder / "data").mkdir(parents=True, exist_ok=True)
    table, start = parquet.table_of([row for each in rows.values() for row in each]), 0
    for split, each in rows.items():
        with _whole_file(folder / "data" / f"{split}-00000-of-00001.parquet") as file:
            parquet.write_table(file, table.slice(start, len(each)))
        start += len(each)
    with _whole_file(folder / CARD) as file:
        file.write(_front_matter(list(rows)) + card)
    return start


def _front_matter(splits: list[str]) -> bytes:
    """Return the YAML with which `datasets.load_dataset(folder)` finds the splits."""
    files = [f"      - split: {split}\n        path: data/{split}-*.parquet" for split in splits]
    return "\n".join(["---", "configs:", "  - config_name: default", "    data_files:", *files, "---", "", ""]).encode()


async def _lines(server: Server, paths: list[str]) -> AsyncIterator[bytes]:
    """Yield complete lines, in blocks."""
    for path in paths:
        rest = b""
        async for piece in server.download(path):
            block, newline, rest = (rest + piece).rpartition(b"\n")
            if newline:
                yield block + b"\n"


async def _write_lines(file: BinaryIO, lines: AsyncIterator[bytes]) -> int:
    count = 0
    async for block in lines:
        file.write(block)
        count += block.count(b"\n")
    return count


def _parquet() -> ModuleType:
    """Import pyarrow when it is needed: it is large, and not every machine has it. Raises Misused if it is missing."""
    try:
        return importlib.import_module("vbatch.cli.parquet")
    except ModuleNotFoundError as error:
        if error.name != "pyarrow":
            raise
        raise Misused("Parquet needs the package pyarrow: install it, or write --as jsonl.") from error


async def _rows(server: Server, paths: list[str]) -> list[Row]:
    return [msgspec.json.decode(line) async for block in _lines(server, paths) for line in block.splitlines()]


@contextmanager
def _whole_file(path: Path) -> Iterator[BinaryIO]:
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            yield file
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
