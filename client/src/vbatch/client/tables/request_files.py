"""Turns a table into a batch input file. Every row is checked first: either the file is complete, or all its faults are
reported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO

from vbatch.client.core.requests import RequestTemplate, RowFault, RowIds
from vbatch.client.core.templates import TemplateError
from vbatch.client.core.values import Row
from vbatch.client.errors import TableError
from vbatch.client.tables.disk_index import IdIndex, disk_database, temporary_file
from vbatch.client.tables.table import Table

FAULTS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class RequestFile:
    """The lines are in `content`, which is at its beginning."""

    content: BinaryIO
    lines: int


@contextmanager
def request_file(table: Table, template: RequestTemplate) -> Iterator[RequestFile]:
    """Write the request lines into a file without a name. Raises TableError, which names the columns or rows at
    fault."""
    try:
        template.check_columns(table.columns())
    except TemplateError as error:
        raise TableError(f"{table.name}: {error}") from error
    with temporary_file() as file:
        with disk_database() as database:
            lines = _write(file, table, template, UniqueIds(template.ids, IdIndex(database)))
        file.seek(0)
        yield RequestFile(file, lines)


@dataclass(frozen=True, slots=True)
class UniqueIds:
    """Gives each row its id, once."""

    ids: RowIds
    index: IdIndex

    def of(self, row: Row, number: int) -> str:
        """Return the row's id. Raises RowFault, also for an id that an earlier row has."""
        custom_id = self.ids.of(row, number)
        if self.ids.column is not None and (first := self.index.first_row(custom_id, number)) != number:
            raise RowFault(f"the id {custom_id!r} is that of row {first} already")
        return custom_id


@dataclass(slots=True)
class _Faults:
    shown: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, number: int, fault: RowFault) -> None:
        self.count += 1
        if len(self.shown) < FAULTS_SHOWN:
            self.shown.append(f"  row {number}: {fault}")

    def check(self, name: str) -> None:
        if not self.count:
            return
        rows = "1 row" if self.count == 1 else f"{self.count:,} rows"
        more = [f"  and {self.count - len(self.shown):,} more"] if self.count > len(self.shown) else []
        raise TableError("\n".join([f"{name}: {rows} cannot become requests; nothing was sent.", *self.shown, *more]))


def _write(file: BinaryIO, table: Table, template: RequestTemplate, ids: UniqueIds) -> int:
    faults, number = _Faults(), 0
    for row in rows_of(table, template.columns):
        number += 1
        try:
            file.write(template.line(row, ids.of(row, number)))
        except RowFault as fault:
            faults.add(number, fault)
    faults.check(table.name)
    if not number:
        raise TableError(f"{table.name} has no rows.")
    return number


def rows_of(table: Table, columns: tuple[str, ...]) -> Iterator[Row]:
    """Yield every row, with at least these columns."""
    for chunk in table.chunks(columns):
        yield from chunk.rows(columns)
