"""Rows as Parquet tables. Imports pyarrow, so only code that writes Parquet imports this module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

ROWS_PER_GROUP = 10_000
LINEAGE = "lineage"
"""A column whose fields are known; a field that a row lacks is null."""

_ENCODER = msgspec.json.Encoder()


def table_of(rows: list[dict[str, object]]) -> pa.Table:
    """Return a table with one column for each key of any row, null where a row has no value.

    Values of different shapes, such as tools with different parameters, become JSON (Parquet's logical type), which
    Hugging Face `datasets` decodes. A struct would fill each value up with the fields of all others.
    """
    keys = list(dict.fromkeys(key for row in rows for key in row))
    return pa.table({key: _column(key, [row.get(key) for row in rows]) for key in keys})


def write_table(file: BinaryIO, table: pa.Table) -> None:
    pq.write_table(table, file, compression="zstd", row_group_size=ROWS_PER_GROUP)


def _column(name: str, values: list[object]) -> pa.Array:
    try:
        column = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return _json_column(values)
    return column if name == LINEAGE or column.to_pylist() == values else _json_column(values)


def _json_column(values: Sequence[object]) -> pa.Array:
    """Return the values as JSON; the items of lists as JSON each, so that the column remains one of lists."""
    if all(value is None or isinstance(value, list) for value in values):
        lists = [[_json(item) for item in value] if isinstance(value, list) else None for value in values]
        return pa.array(lists, pa.list_(pa.string())).cast(pa.list_(pa.json_()))
    return pa.array([None if value is None else _json(value) for value in values], pa.string()).cast(pa.json_())


def _json(value: object) -> str:
    return _ENCODER.encode(value).decode()
