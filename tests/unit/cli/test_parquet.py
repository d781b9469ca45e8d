"""Rows come back from Parquet as they were, also when their shapes differ."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vbatch.cli.parquet import table_of, write_table

HELLO = {"role": "user", "content": "Hello"}
NAMED = HELLO | {"name": "ada"}
PARTS = {"role": "user", "content": [{"type": "text", "text": "Hello"}]}
Rows = list[dict[str, object]]


def read_back(folder: Path, rows: Rows) -> pa.Table:
    with (folder / "rows.parquet").open("wb") as file:
        write_table(file, table_of(rows))
    return pq.read_table(folder / "rows.parquet")


def test_messages_of_one_shape_are_columns_that_any_reader_understands(tmp_path: Path):
    table = read_back(tmp_path, [{"prompt": [HELLO]}, {"prompt": [HELLO, HELLO]}])
    assert table.to_pylist() == [{"prompt": [HELLO]}, {"prompt": [HELLO, HELLO]}]


@pytest.mark.parametrize("other", [NAMED, PARTS])
def test_messages_of_several_shapes_are_lists_of_json(tmp_path: Path, other: dict[str, object]):
    column = read_back(tmp_path, [{"prompt": [HELLO]}, {"prompt": [other]}, {}])["prompt"]
    assert column.type == pa.list_(pa.json_())
    decoded = [None if messages is None else [json.loads(each) for each in messages] for messages in column.to_pylist()]
    assert decoded == [[HELLO], [other], None]


def test_objects_of_several_shapes_are_json(tmp_path: Path):
    rows: Rows = [{"input": {"messages": [HELLO]}}, {"input": {"messages": [NAMED]}}]
    column = read_back(tmp_path, rows)["input"]
    assert column.type == pa.json_()
    assert [{"input": json.loads(each)} for each in column.to_pylist()] == rows


def test_a_lineage_stays_a_struct(tmp_path: Path):
    table = read_back(tmp_path, [{"lineage": {"batch": "b"}}, {"lineage": {"batch": "b", "rejected_line": 2}}])
    assert table["lineage"].to_pylist()[0] == {"batch": "b", "rejected_line": None}
