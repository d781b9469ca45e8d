"""results: the answers of a batch, so far or as they were sealed."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
import typer

from vbatch.cli.api_types import Batch, read
from vbatch.cli.client import Server, reported
from vbatch.cli.exits import CommandError, Misused
from vbatch.cli.joining import Joining
from vbatch.cli.option_groups import command
from vbatch.cli.options import BatchArgument, err, print_json, server_url
from vbatch.cli.rows import ROWS, Split, TableFormat
from vbatch.cli.server_options import ServerOptions
from vbatch.client import Client
from vbatch.client.core.joining import DEFAULT_COLUMN
from vbatch.contracts.event_text import amount, size
from vbatch.contracts.lifecycle import TERMINAL, BatchStatus

Output = Annotated[Path | None, typer.Option("-o", "--output", help="Write to this file instead of the screen.")]
Errors = Annotated[bool, typer.Option("--errors", help="Download the lines without an answer instead.")]

Merged = Annotated[bool, typer.Option("--merged", help="The newest answers of the batch and its retries together.")]


Join = Annotated[
    Path | None,
    typer.Option(
        metavar="TABLE",
        rich_help_panel=ROWS,
        help="Write this table, whose rows were submitted, with the answers beside its columns to --output, as its "
        "name ends: .csv, .tsv, .jsonl or .parquet.",
    ),
]
AnswerColumn = Annotated[
    str, typer.Option(metavar="NAME", rich_help_panel=ROWS, help="The name of the column with the answers.")
]
JoinIdColumn = Annotated[
    str | None,
    typer.Option(
        "--id-column",
        metavar="COLUMN",
        rich_help_panel=ROWS,
        help="The column with the ids; by default that of submit.",
    ),
]


@dataclass(frozen=True, slots=True)
class JoinOptions:
    join: Join = None
    answer_column: AnswerColumn = DEFAULT_COLUMN
    id_column: JoinIdColumn = None
    format: TableFormat = None
    split: Split = None

    def joining(self, output: Path | None) -> Joining | None:
        """Return the join; None if no table is named. Raises BadParameter for options that need a table."""
        if self.join is not None:
            return Joining(self.join, output, self.answer_column, self.id_column, self.format, self.split)
        if self.id_column or self.format or self.split:
            raise typer.BadParameter("give --join as well.", param_hint="--id-column / --format / --split")
        return None


@command
def results(
    batch: BatchArgument,
    output: Output = None,
    errors: Errors = False,
    merged: Merged = False,
    *,
    table: JoinOptions,
    server: ServerOptions,
) -> None:
    """Download the answers of a batch; while it runs, the answers so far. With --join they come in a table."""
    joining = table.joining(output)
    if joining is not None and errors:
        raise typer.BadParameter("leave it out: --join has a column for errors.", param_hint="--errors")
    if joining is not None:
        _join(joining, batch, server)
        return
    if merged and errors:
        raise Misused("Give --merged or --errors, not both: the merged answers hold what failed, too.")
    lines, count = server.ask(partial(_download, batch, output, errors=errors, merged=merged))
    report(output, lines, count, as_json=server.as_json)


def _join(joining: Joining, batch: str, server: ServerOptions) -> None:
    with reported(), Client(server_url(server.url), api_key=server.api_key) as client:
        joining.write(client, batch, as_json=server.as_json)


async def _download(batch: str, output: Path | None, gateway: Server, *, errors: bool, merged: bool) -> tuple[int, int]:
    """Return how many lines and bytes there were."""
    found = read(await gateway.batch(batch), Batch)
    pieces = gateway.merged(found.id) if merged else _pieces(gateway, found, errors=errors)
    with sink(output) as file:
        return await written(pieces, file)


async def written(pieces: AsyncIterator[bytes], file: BinaryIO) -> tuple[int, int]:
    """Write all pieces; return how many lines and bytes they were."""
    lines, count = 0, 0
    async for piece in pieces:
        file.write(piece)
        lines, count = lines + piece.count(b"\n"), count + len(piece)
    return lines, count


def _pieces(server: Server, batch: Batch, *, errors: bool) -> AsyncIterator[bytes]:
    """Find the requested lines. Raises CommandError if there are none, and says why."""
    if batch.status is BatchStatus.FAILED:
        raise CommandError(f"{batch.id} failed before any request ran: {_first_fault(batch)}")
    if batch.status in TERMINAL:
        return server.content(_sealed(batch, errors=errors))
    if errors:
        raise CommandError(f"{batch.id} is {batch.status}; its errors are available once it has ended.")
    err.print(f"{batch.id} is {batch.status}: these are the outcomes so far, in the order they came.")
    return server.results(batch.id)


def _sealed(batch: Batch, *, errors: bool) -> str:
    file_id = batch.error_file_id if errors else batch.output_file_id
    if file_id is None:
        raise CommandError("Every line was answered." if errors else "No line was answered; see them with --errors.")
    return file_id


def _first_fault(batch: Batch) -> str:
    faults = batch.errors.data if batch.errors else []
    if not faults:
        return "no reason given."
    where = f"line {faults[0].line}: " if faults[0].line else ""
    return f"{where}{faults[0].message} ({amount(len(faults), 'fault')})"


@contextmanager
def sink(output: Path | None) -> Iterator[BinaryIO]:
    """Yield stdout, or a file that appears under its name only once it is complete."""
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    part = output.with_name(output.name + ".part")
    try:
        with part.open("wb") as file:
            yield file
        os.replace(part, output)
    except OSError as error:
        raise Misused(f"{output} cannot be written: {error.strerror}.") from error
    finally:
        part.unlink(missing_ok=True)


def report(output: Path | None, lines: int, count: int, *, as_json: bool) -> None:
    if output is None:
        return
    if as_json:
        print_json(msgspec.json.encode({"path": str(output), "lines": lines, "bytes": count}))
    else:
        err.print(f"{amount(lines, 'line')} in {output} ({size(count)}).", markup=False)
