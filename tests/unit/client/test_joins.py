from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from vbatch.client.core.joining import NO_ANSWER, AnswerColumns
from vbatch.client.core.requests import RowIds
from vbatch.client.errors import TableError
from vbatch.client.tables.joins import JoinReport, check_join, join
from vbatch.client.tables.sources import open_table

ROWS: list[Mapping[str, object]] = [{"id": "b", "text": "x"}, {"id": "a", "text": "y"}, {"id": "c", "text": "z"}]


def answered(custom_id: str, text: str) -> bytes:
    body = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1}}
    return json.dumps({"custom_id": custom_id, "response": {"status_code": 200, "body": body}}).encode()


def failed(custom_id: str, message: str) -> bytes:
    return json.dumps({"custom_id": custom_id, "error": {"code": "x", "message": message}}).encode()


LINES = [answered("a", "A"), failed("b", "broke"), answered("a", "again")]


def joined(source: object, lines: Sequence[bytes], output: Path, column: str | None = "id", **more: bool) -> JoinReport:
    table, ids = open_table(source), RowIds(column)
    check_join(table, ids, output, AnswerColumns())
    has_vectors = more.get("has_vectors", False)
    return join(table, lines, output, ids=ids, columns=AnswerColumns(), has_vectors=has_vectors)


def rows_in(path: Path) -> list[dict[str, object]]:
    match path.suffix:
        case ".csv" | ".tsv":
            with path.open(newline="") as file:
                return list(csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ","))
        case ".jsonl":
            return [msgspec.json.decode(line, type=dict[str, object]) for line in path.read_bytes().splitlines()]
        case _:
            rows: list[dict[str, object]] = pyarrow.parquet.read_table(path).to_pylist()
            return rows


@pytest.mark.parametrize("name", ["out.csv", "out.tsv", "out.jsonl", "out.parquet"])
def test_every_row_comes_back_in_its_order_with_its_answer(tmp_path: Path, name: str):
    report = joined(ROWS, LINES, tmp_path / name)
    assert report == JoinReport(rows=3, answered=1, failed=1, missing=1, unmatched=0)
    found = [(row["id"], row["answer"] or None, row["answer_error"] or None) for row in rows_in(tmp_path / name)]
    assert found == [("b", None, "broke"), ("a", "A", None), ("c", None, NO_ANSWER)]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_rows_without_an_id_column_are_joined_by_their_number(tmp_path: Path):
    joined(ROWS, [answered("row-2", "second")], tmp_path / "out.jsonl", None)
    assert [row["answer"] for row in rows_in(tmp_path / "out.jsonl")] == [None, "second", None]


def test_answers_that_no_row_has_are_counted(tmp_path: Path):
    assert joined(ROWS, [*LINES, answered("q", "?")], tmp_path / "out.csv").unmatched == 1


def test_types_of_parquet_stay(tmp_path: Path):
    table = pyarrow.table(
        {
            "id": pyarrow.array([1, 2], pyarrow.int16()),
            "at": pyarrow.array([datetime(2026, 1, 1, tzinfo=UTC)] * 2, pyarrow.timestamp("ns", "UTC")),
            "kind": pyarrow.array(["x", "y"]).dictionary_encode(),
            "image": pyarrow.array([b"\x00", b"\xff"]),
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "in.parquet")
    joined(tmp_path / "in.parquet", [answered("2", "two")], tmp_path / "out.parquet")
    written = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert written.select(table.schema.names).equals(table)
    assert written["answer"].to_pylist() == [None, "two"]


def test_columns_of_json_lines_that_differ_are_all_there(tmp_path: Path):
    rows = [{"id": "a", "n": 1}, {"id": "b", "n": 2.5, "tags": ["x"]}]
    joined(rows, LINES, tmp_path / "out.parquet")
    joined(rows, LINES, tmp_path / "out.csv")
    assert [(row["n"], row["tags"]) for row in rows_in(tmp_path / "out.parquet")] == [(1.0, None), (2.5, ["x"])]
    assert [(row["n"], row["tags"]) for row in rows_in(tmp_path / "out.csv")] == [("1", ""), ("2.5", '["x"]')]


def test_values_of_one_column_that_have_no_type_in_common_are_refused(tmp_path: Path):
    with pytest.raises(TableError, match=r"cannot be written as Parquet .* write .jsonl instead"):
        joined([{"id": "a", "n": 1}, {"id": "b", "n": "x"}], LINES, tmp_path / "out.parquet")


def test_vectors_are_lists_of_numbers_in_parquet(tmp_path: Path):
    body = {"data": [{"embedding": [0.5, -1]}]}
    line = json.dumps({"custom_id": "a", "response": {"status_code": 200, "body": body}}).encode()
    joined(ROWS, [line], tmp_path / "out.parquet", has_vectors=True)
    assert rows_in(tmp_path / "out.parquet")[1]["answer"] == [0.5, -1.0]


def test_a_table_that_was_not_submitted_is_noticed(tmp_path: Path):
    (tmp_path / "out.csv").write_text("before")
    with pytest.raises(TableError, match="No answer belongs to a row of The table, by its column 'id'"):
        joined(ROWS, [answered("q", "?")], tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


@pytest.mark.parametrize(
    ("rows", "column", "name", "words"),
    [
        (ROWS, "key", "out.csv", "has no id column 'key'. It has: 'id', 'text'"),
        ([{"id": 1, "answer": 2}], "id", "out.csv", "a column 'answer' already"),
        (ROWS, "id", "out.txt", "must end in one of .csv, .tsv, .jsonl, .parquet"),
        (ROWS, "id", "nowhere/out.csv", "cannot be written: No such file"),
        ([{"id": None}], "id", "out.csv", "row 1: the id is missing"),
        ([{"id": "a", "image": b"x"}], "id", "out.csv", "holds bytes, not text, which a CSV cannot hold"),
    ],
)
def test_a_join_that_cannot_be_says_why(
    tmp_path: Path, rows: list[Mapping[str, object]], column: str, name: str, words: str
):
    with pytest.raises(TableError, match=words):
        joined(rows, LINES, tmp_path / name, column)
    assert list(tmp_path.iterdir()) == []


TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.dictionaries(TEXTS, st.tuples(TEXTS, TEXTS), min_size=1, max_size=6), st.randoms())
@pytest.mark.parametrize("name", ["out.csv", "out.jsonl", "out.parquet"])
def test_any_text_comes_back_beside_its_row(tmp_path: Path, name: str, rows: dict[str, tuple[str, str]], random):
    lines = [answered(custom_id, answer) for custom_id, (_, answer) in rows.items()]
    random.shuffle(lines)
    table = [{"id": custom_id, "text": text} for custom_id, (text, _) in rows.items()]
    joined(table, lines, tmp_path / name)
    found = {row["id"]: (row["text"], row["answer"]) for row in rows_in(tmp_path / name)}
    assert found == rows
