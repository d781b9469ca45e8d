"""results: the answers of a batch, so far or as they were sealed."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
import typer

from vbatch.cli.api_types import Batch, read
from vbatch.cli.client import Server, connect, reported
from vbatch.cli.exits import CommandError, Misused, ending
from vbatch.cli.joining import Joining
from vbatch.cli.options import ApiKey, AsJson, BatchArgument, Url, err, print_json, run, server_url
from vbatch.cli.rows import ROWS, Split, TableFormat
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


def results(
    batch: BatchArgument,
    output: Output = None,
    errors: Errors = False,
    merged: Merged = False,
    join: Join = None,
    answer_column: AnswerColumn = DEFAULT_COLUMN,
    id_column: JoinIdColumn = None,
    format: TableFormat = None,
    split: Split = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Download the answers of a batch; while it runs, the answers so far. With --join they come in a table."""
    if join is not None:
        if errors:
            raise typer.BadParameter("leave it out: --join has a column for errors.", param_hint="--errors")
        joining = Joining(join, output, answer_column, id_column, format, split)
        with ending(), reported(), Client(server_url(url), api_key=api_key) as server:
            joining.write(server, batch, as_json=as_json)
        return
    if id_column or format or split:
        raise typer.BadParameter("give --join as well.", param_hint="--id-column / --format / --split")

    async def ask() -> None:
        if merged and errors:
            raise Misused("Give --merged or --errors, not both: the merged answers hold what failed, too.")
        async with connect(server_url(url), api_key) as server:
            found = read(await server.batch(batch), Batch)
            pieces = server.merged(found.id) if merged else _pieces(server, found, errors=errors)
            with sink(output) as file:
                lines, count = 0, 0
                async for piece in pieces:
                    file.write(piece)
                    lines, count = lines + piece.count(b"\n"), count + len(piece)
        report(output, lines, count, as_json=as_json)

    run(ask())


def _pieces(server: Server, batch: Batch, *, errors: bool) -> AsyncIterator[bytes]:
    """Find the requested lines. Raises CommandError if there are none, and says why."""
    if batch.status is BatchStatus.FAILED:
        raise CommandError(f"{batch.id} failed before any request ran: {_first_fault(batch)}")
    if batch.status in TERMINAL:
        file_id = batch.error_file_id if errors else batch.output_file_id
        if file_id is None:
            raise CommandError(
                "Every line was answered." if errors else "No line was answered; see them with --errors."
            )
        return server.content(file_id)
    if errors:
        raise CommandError(f"{batch.id} is {batch.status}; its errors are available once it has ended.")
    err.print(f"{batch.id} is {batch.status}: these are the outcomes so far, in the order they came.")
    return server.results(batch.id)


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
