"""Answers as frames: one row for each answer, in the order in which they came."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from vbatch.client.core.answers import Answer
from vbatch.client.core.joining import AnswerColumns
from vbatch.client.tables.packages import package

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

ID = "custom_id"
_COLUMNS = AnswerColumns()


def to_pandas(answers: Iterable[Answer]) -> pandas.DataFrame:
    """Return a pandas frame. Raises PackageMissing."""
    module = package("pandas", "to_pandas")
    columns = _columns(answers)
    counts = {name: module.array(columns.pop(name), dtype="Int64") for name in _COLUMNS.names[-2:]}
    frame: pandas.DataFrame = module.DataFrame({**columns, **counts})
    return frame


def to_polars(answers: Iterable[Answer]) -> polars.DataFrame:
    """Return a polars frame. Raises PackageMissing."""
    module = package("polars", "to_polars")
    columns = _columns(answers)
    answer = module.List(module.Float32) if _has_vectors(columns) else module.String
    types = (module.String, answer, module.String, module.String, module.Int64, module.Int64)
    frame: polars.DataFrame = module.DataFrame(columns, schema=dict(zip(columns, types, strict=True)))
    return frame


def to_arrow(answers: Iterable[Answer]) -> pyarrow.Table:
    """Return an Arrow table. Raises PackageMissing."""
    module = package("pyarrow", "to_arrow")
    columns = _columns(answers)
    text, count = module.string(), module.int64()
    answer = module.list_(module.float32()) if _has_vectors(columns) else text
    types = (text, answer, text, text, count, count)
    table: pyarrow.Table = module.table(columns, schema=module.schema(list(zip(columns, types, strict=True))))
    return table


def _columns(answers: Iterable[Answer]) -> dict[str, list[object]]:
    columns: dict[str, list[object]] = {name: [] for name in (ID, *_COLUMNS.names)}
    for answer in answers:
        for column, value in zip(columns.values(), (answer.custom_id, *_COLUMNS.values(answer)), strict=True):
            column.append(value)
    return columns


def _has_vectors(columns: Mapping[str, list[object]]) -> bool:
    return any(isinstance(value, list) for value in columns[_COLUMNS.answer])
