"""The rows of the read model stand once: they are the columns of its schema, and a reader's part is a part of them."""

from __future__ import annotations

import re

import pytest

from vbatch.contracts.read_model.rows import OUTCOME_COLUMNS, BatchRow, FileRow, ModelRow, RunnerRow, columns
from vbatch.gateway.core.answer_lines import LineRecord
from vbatch.gateway.core.records import FileRecord, ModelRecord, OutcomePlace
from vbatch.gateway.core.server_views import DefinedModel, RunnerRecord
from vbatch.results.adapters.postgres import SCHEMA_SQL
from vbatch.results.ports import Placed, StoredFile

BY_OTHER_STATEMENTS = {"file": {"deleted_at"}}
"""Columns that no row holds, because a deletion sets them alone."""
ROWS = {
    "file": FileRow.__struct_fields__,
    "batch": BatchRow.__struct_fields__,
    "model": ModelRow.__struct_fields__,
    "runner": RunnerRow.__struct_fields__,
    "outcome": OUTCOME_COLUMNS,
}
PARTS = (
    (FileRecord, "file"),
    (StoredFile, "file"),
    (ModelRecord, "model"),
    (DefinedModel, "model"),
    (RunnerRecord, "runner"),
    (OutcomePlace, "outcome"),
    (LineRecord, "outcome"),
    (Placed, "outcome"),
)


def columns_of(table: str) -> set[str]:
    found = re.search(rf"CREATE TABLE {table} \((.*?)^\);", SCHEMA_SQL.read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None, table
    return set(re.findall(r"^    ([a-z_0-9]+) ", found[1], re.MULTILINE))


@pytest.mark.parametrize("table", ROWS)
def test_a_row_has_a_field_for_each_column_of_its_table(table: str):
    assert set(ROWS[table]) == columns_of(table) - BY_OTHER_STATEMENTS.get(table, set())


@pytest.mark.parametrize(("part", "table"), PARTS)
def test_who_reads_a_part_of_a_row_reads_fields_that_it_has(part: type, table: str):
    assert set(columns(part).split(", ")) <= set(ROWS[table])
