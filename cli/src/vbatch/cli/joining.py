"""results --join: the answers of a batch beside the rows that asked for them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from vbatch.cli.exits import Misused
from vbatch.cli.options import err, print_json
from vbatch.client import Client, Format, JoinReport
from vbatch.contracts.event_text import amount


@dataclass(frozen=True, slots=True)
class Joining:
    """Which table gets the answers, and where it is written."""

    table: Path
    output: Path | None
    answer_column: str
    id_column: str | None
    format: Format | None
    split: str | None

    def write(self, server: Client, batch_id: str, *, as_json: bool) -> None:
        """Write the answers beside the rows. Raises Misused, and the errors of the client."""
        if self.output is None:
            raise Misused("--join writes a file: give --output with a name in .csv, .tsv, .jsonl or .parquet.")
        batch = server.batch(batch_id)
        if not batch.is_over:
            err.print(f"{batch.id} is {batch.status}: rows without an outcome so far have no answer.")
        report = self._join(server, batch_id, self.output)
        if as_json:
            print_json(msgspec.json.encode({"path": str(self.output), **asdict(report)}))
        else:
            err.print(_summary(report, self.output), markup=False)

    def _join(self, server: Client, batch_id: str, output: Path) -> JoinReport:
        return server.join(
            batch_id,
            self.table,
            output,
            id_column=self.id_column,
            answer_column=self.answer_column,
            format=self.format,
            split=self.split,
        )


def _summary(report: JoinReport, output: Path) -> str:
    parts = [f"{report.answered:,} answered", f"{report.failed:,} failed"]
    if report.missing:
        parts.append(f"{report.missing:,} without an answer in the batch")
    if report.unmatched:
        parts.append(f"{amount(report.unmatched, 'answer')} left out, because no row has their id")
    return f"{amount(report.rows, 'row')} in {output}: {', '.join(parts)}."
