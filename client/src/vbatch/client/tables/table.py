"""The interface of every table in this package: names of columns, and rows in chunks that fit into memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from vbatch.client.core.values import Row

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_AT_ONCE = 1_000


class Chunk(Protocol):
    """Up to ROWS_AT_ONCE consecutive rows."""

    def rows(self, columns: Collection[str] | None = None) -> Sequence[Row]:
        """Return the rows as mappings, with at least these columns."""
        ...


class Table(Protocol):
    """A table that can be read from its beginning any number of times."""

    @property
    def name(self) -> str:
        """The name of the table in messages."""
        ...

    def columns(self) -> tuple[str, ...]:
        """The names of the columns, in their order. Raises TableError."""
        ...

    def chunks(self, columns: Collection[str] | None = None) -> Iterator[Chunk]:
        """Yield the rows, with at least these columns. Raises TableError."""
        ...


@runtime_checkable
class TypedTable(Table, Protocol):
    """A table whose column types are known without reading its rows."""

    def schema(self) -> pa.Schema:
        """The types of the columns. Raises TableError."""
        ...


@dataclass(frozen=True, slots=True)
class RowsChunk:
    """Rows that are already mappings."""

    content: Sequence[Row]

    def rows(self, columns: Collection[str] | None = None) -> Sequence[Row]:
        return self.content


def in_chunks(rows: Iterable[Row]) -> Iterator[RowsChunk]:
    iterator = iter(rows)
    while content := list(islice(iterator, ROWS_AT_ONCE)):
        yield RowsChunk(content)
