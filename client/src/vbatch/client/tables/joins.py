"""Joins answers to the rows of the input: every row is written once, in its order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vbatch.client.core.answers import Answer, AnswerUnreadable, parse_answer
from vbatch.client.core.joining import AnswerColumns, ColumnTaken
from vbatch.client.core.requests import RowFault, RowIds
from vbatch.client.core.values import Row
from vbatch.client.errors import TableError
from vbatch.client.tables.disk_index import LineIndex, disk_database
from vbatch.client.tables.table import Table
from vbatch.client.tables.writing import Writer, all_columns, output_format, writing


@dataclass(slots=True)
class JoinReport:
    """How many rows were written with an answer, with an error, and with neither; and how many answers belong to no
    row."""

    rows: int = 0
    answered: int = 0
    failed: int = 0
    missing: int = 0
    unmatched: int = 0

    def count(self, answer: Answer | None) -> None:
        self.rows += 1
        self.missing += answer is None
        self.failed += answer is not None and answer.error is not None
        self.answered += answer is not None and answer.error is None


def check_join(table: Table, ids: RowIds, output: Path, columns: AnswerColumns) -> None:
    """Find what would stop the join, before any answer is downloaded. Raises TableError."""
    output_format(output)
    names = all_columns(table)
    if ids.column is not None and ids.column not in names:
        raise TableError(f"{table.name} has no id column {ids.column!r}. It has: {', '.join(map(repr, names))}.")
    try:
        columns.check(names)
    except ColumnTaken as error:
        raise TableError(f"{table.name}: {error}") from error


def join(
    table: Table, lines: Iterable[bytes], output: Path, *, ids: RowIds, columns: AnswerColumns, has_vectors: bool
) -> JoinReport:
    """Write the table with the answers of these output lines. Raises TableError; then `output` is unchanged."""
    with disk_database() as database:
        index = LineIndex(database)
        answers_count = index.fill(_with_ids(lines))
        report = JoinReport()
        with writing(output, table, columns, has_vectors=has_vectors) as writer:
            for chunk_answers in _write(table, ids, index, writer):
                for answer in chunk_answers:
                    report.count(answer)
            report.unmatched = max(0, answers_count - (report.rows - report.missing))
            if answers_count and report.missing == report.rows:
                raise TableError(_nothing_matches(table, ids))
    return report


def _write(table: Table, ids: RowIds, index: LineIndex, writer: Writer) -> Iterator[Sequence[Answer | None]]:
    number = 0
    for chunk in table.chunks():
        rows = chunk.rows() if ids.column is None else chunk.rows([ids.column])
        custom_ids = [_id_of(table, ids, row, number + place) for place, row in enumerate(rows, 1)]
        answers = [None if (line := index.line(each)) is None else _parsed(line) for each in custom_ids]
        number += len(rows)
        writer.write(chunk, answers)
        yield answers


def _id_of(table: Table, ids: RowIds, row: Row, number: int) -> str:
    try:
        return ids.of(row, number)
    except RowFault as fault:
        raise TableError(f"{table.name}, row {number}: {fault}.") from fault


def _with_ids(lines: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    for line in lines:
        yield _parsed(line).custom_id, line


def _parsed(line: bytes) -> Answer:
    try:
        return parse_answer(line)
    except AnswerUnreadable as error:
        raise TableError(str(error)) from error


def _nothing_matches(table: Table, ids: RowIds) -> str:
    how = "the numbers of its rows" if ids.column is None else f"its column {ids.column!r}"
    return (
        f"No answer belongs to a row of {table.name}, by {how}. Is it the table that was submitted? The id column can "
        "be named with --id-column."
    )
