"""Rows as Parquet tables. Imports pyarrow, so only code that writes Parquet imports this module."""

from __future__ import annotations

from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from vbatch.cli.exits import Misused

ROWS_PER_GROUP = 10_000


def table_of(rows: list[dict[str, object]]) -> pa.Table:
    """Return a table with one column for each key of any row, null where a row has no value, with types that fit all.
    Raises Misused."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    try:
        return pa.Table.from_pylist([{key: row.get(key) for key in keys} for row in rows])
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise Misused(
            "The lines differ in the types of their values, such as a content that is a text here and a list there, "
            f"which the columns of Parquet cannot hold: write --as jsonl. ({error})"
        ) from error


def write_table(file: BinaryIO, table: pa.Table) -> None:
    pq.write_table(table, file, compression="zstd", row_group_size=ROWS_PER_GROUP)
