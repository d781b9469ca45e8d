"""The join of a batch to the table whose rows it answers: checked before anything is downloaded, then written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vbatch.client.core.joining import AnswerColumns
from vbatch.client.core.requests import ID_COLUMN_KEY, RowIds
from vbatch.client.objects import Batch, must_have_run
from vbatch.client.tables.joins import JoinReport, check_join, join
from vbatch.client.tables.sources import Format, Source, open_table
from vbatch.client.tables.table import Table
from vbatch.contracts.endpoints import EMBEDDINGS


@dataclass(frozen=True, slots=True)
class TableJoin:
    table: Table
    output: Path
    ids: RowIds
    columns: AnswerColumns
    has_vectors: bool

    def check(self) -> None:
        """Find what would stop the join. Raises TableError."""
        check_join(self.table, self.ids, self.output, self.columns)

    def write(self, lines: Iterable[bytes]) -> JoinReport:
        """Write the table with the answers of these output lines. Raises TableError."""
        return join(self.table, lines, self.output, ids=self.ids, columns=self.columns, has_vectors=self.has_vectors)


def table_join(
    batch: Batch,
    source: Source,
    output: Path,
    columns: AnswerColumns,
    *,
    id_column: str | None,
    format: Format | None,
    split: str | None,
) -> TableJoin:
    """Prepare the join. By default the ids are in the column that was named when the table was submitted. Raises
    TableError."""
    must_have_run(batch)
    ids = RowIds(id_column or (batch.metadata or {}).get(ID_COLUMN_KEY))
    table = open_table(source, format=format, split=split)
    return TableJoin(table, output, ids, columns, has_vectors=batch.endpoint == EMBEDDINGS)
