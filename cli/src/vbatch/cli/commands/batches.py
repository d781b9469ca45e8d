"""submit, watch, cancel, batches: the life of a batch as its owner sees it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from vbatch.cli.api_types import Batch, BatchPage, Fanout, StoredFile, read
from vbatch.cli.client import Server
from vbatch.cli.exits import CommandError, Exit, Misused
from vbatch.cli.forecast_text import forecast_line
from vbatch.cli.live import Progress
from vbatch.cli.option_groups import command
from vbatch.cli.options import BatchArgument, err, local_settings, out, print_json, print_table, table_of
from vbatch.cli.progress_display import display_for, summary
from vbatch.cli.rows import RowOptions, prepared
from vbatch.cli.server_options import ServerOptions
from vbatch.cli.watching import watch as follow_to_end
from vbatch.contracts.lifecycle import PRIORITY_MAX, PRIORITY_MIN, STEERABLE, BatchStatus
from vbatch.local.log_access import log_settings

BATCHES_SHOWN = 20
BATCHES_SHOWN_MAX = 100
FAULTS_SHOWN = 10
FORECAST_SECONDS_MAX, FORECAST_POLL_SECONDS = 3.0, 0.2
"""A forecast is up to a second old, and a file of a few thousand lines is checked in less time."""

Endpoint = Annotated[
    str | None,
    typer.Option(
        help="The API path of all requests; by default that of the file's first line, or chat completions for rows."
    ),
]
Window = Annotated[str, typer.Option(help="The completion window, such as 24h.")]
Metadata = Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="Kept with the batch; may be repeated.")]
Priority = Annotated[
    int, typer.Option(min=PRIORITY_MIN, max=PRIORITY_MAX, help="Higher runs sooner; every ten count twice as much.")
]
Models = Annotated[
    str | None,
    typer.Option(metavar="A,B,...", help="Run every request on each of these models, in a batch of its own."),
]
Watch = Annotated[bool, typer.Option("--watch", help="Show the progress until the batch has ended.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait silently until the batch has ended.")]
InputFile = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="The requests, one JSON object per line; with --prompt a table: CSV, TSV, JSON, JSON Lines, Parquet, "
        "Arrow, or a folder of Hugging Face datasets. - is standard input.",
    ),
]
Limit = Annotated[int, typer.Option("-n", "--limit", min=1, max=BATCHES_SHOWN_MAX, help="List at most this many.")]


@dataclass(frozen=True, slots=True)
class CreateOptions:
    """The properties of a new batch."""

    endpoint: Endpoint = None
    window: Window = "24h"
    metadata: Metadata = None
    priority: Priority = 0
    models: Models = None


@dataclass(frozen=True, slots=True)
class WaitOptions:
    """Whether a command waits until its batch has ended."""

    watch: Watch = False
    wait: Wait = False

    @property
    def is_asked_for(self) -> bool:
        return self.watch or self.wait


@command
def submit(
    file: InputFile, *, rows: RowOptions, options: CreateOptions, waiting: WaitOptions, server: ServerOptions
) -> None:
    """Upload FILE and create a batch from it. With --prompt, each row of a table becomes a request."""
    server.ask(partial(_submitted, file, rows, options, waiting, as_json=server.as_json))


async def _submitted(
    file: Path, rows: RowOptions, options: CreateOptions, waiting: WaitOptions, gateway: Server, *, as_json: bool
) -> None:
    created = await _created(gateway, file, rows, options)
    batch = read(created, Batch)
    fanout = read(await gateway.fanout(batch.fanout_id), Fanout) if batch.fanout_id else None
    if as_json and not waiting.watch:
        print_json(created)
    elif not as_json:
        _show_created(batch, fanout)
    if not as_json and not waiting.wait:
        await _show_forecast(gateway, batch)
    if waiting.is_asked_for:
        for each in fanout.batches if fanout else [batch]:
            await to_the_end(gateway, each.id, is_shown=waiting.watch, as_json=as_json)


async def _created(gateway: Server, file: Path, rows: RowOptions, options: CreateOptions) -> bytes:
    """Upload the file and return its batch. Raises Misused before anything is uploaded."""
    pairs, models = pairs_of(options.metadata or []), _names(options.models)
    with prepared(file, rows, options.endpoint) as made:
        uploaded = read(await gateway.send(made.filename, made.content), StoredFile)
    metadata = dict(made.metadata) | pairs
    return await gateway.create(uploaded.id, made.endpoint, options.window, metadata, options.priority, models)


@command
def watch(batch: BatchArgument, *, server: ServerOptions) -> None:
    """Show a batch's progress until it ends. Ctrl-C leaves the batch running."""

    async def ask(gateway: Server) -> None:
        read(await gateway.batch(batch), Batch)
        await to_the_end(gateway, batch, is_shown=True, as_json=server.as_json)

    server.ask(ask)


@command
def cancel(batch: BatchArgument, *, server: ServerOptions) -> None:
    """Cancel a batch. Finished answers are kept."""
    answer = server.ask(lambda gateway: gateway.cancel(batch))
    server.show(answer, Batch, lambda found: out.print(f"{batch} is {found.status}; finished answers are kept."))


@command
def batches(limit: Limit = BATCHES_SHOWN, *, server: ServerOptions) -> None:
    """List batches, newest first."""
    server.show(server.ask(lambda gateway: gateway.batches(limit)), BatchPage, _show)


def _names(models: str | None) -> list[str]:
    """Return `a,b` as a list. Raises Misused for an empty name."""
    names = [name.strip() for name in models.split(",")] if models is not None else []
    if not all(names):
        raise Misused("--models takes the names of models with commas between, such as a,b.")
    return names


def _show_created(batch: Batch, fanout: Fanout | None) -> None:
    if fanout is None:
        out.print(batch.id)
        return
    out.print(fanout.id)
    for each in fanout.batches:
        err.print(f"  {each.id} runs on {each.model}", markup=False)
    err.print(f"The answers side by side: vbatch fanout {fanout.id} --results", markup=False)


async def _show_forecast(server: Server, batch: Batch) -> None:
    """Print the expected end once the file is checked; do not wait for a long check."""
    deadline = time.monotonic() + FORECAST_SECONDS_MAX
    while batch.status in STEERABLE and batch.eta is None and time.monotonic() < deadline:
        await asyncio.sleep(FORECAST_POLL_SECONDS)
        batch = read(await server.batch(batch.id), Batch)
        if batch.status is BatchStatus.IN_PROGRESS and batch.waiting_for is not None:
            break
    for line in forecast_line(batch, time.time()):
        err.print(line, markup=False)


def pairs_of(metadata: list[str]) -> dict[str, str]:
    """Return `["k=v"]` as `{"k": "v"}`. Raises Misused."""
    for text in metadata:
        if "=" not in text:
            raise Misused(f"--metadata takes KEY=VALUE, not {text!r}.")
    return dict(text.split("=", 1) for text in metadata)


async def to_the_end(server: Server, batch_id: str, *, is_shown: bool, as_json: bool) -> None:
    try:
        progress = await _shown_to_the_end(server, batch_id, is_shown=is_shown, as_json=as_json)
    except BaseException as error:
        if not isinstance(error, CommandError):
            err.print(f"The batch keeps running. Watch it again with: vbatch watch {batch_id}")
        raise
    if not as_json:
        err.print(summary(progress), markup=False)
        _show_faults(progress)
    if progress.status is not BatchStatus.COMPLETED:
        raise SystemExit(int(Exit.FAILED))


async def _shown_to_the_end(server: Server, batch_id: str, *, is_shown: bool, as_json: bool) -> Progress:
    log = log_settings(local_settings(), "cli")
    if not is_shown:
        return await follow_to_end(server, batch_id, None, lambda _progress: None)
    with display_for(out, as_json=as_json) as display:
        return await follow_to_end(server, batch_id, log, lambda progress: display.changed(batch_id, progress))


def _show_faults(progress: Progress) -> None:
    for fault in progress.faults[:FAULTS_SHOWN]:
        where = f"line {fault.line}: " if fault.line else ""
        err.print(f"  {where}{fault.message} ({fault.code})", markup=False)
    if len(progress.faults) > FAULTS_SHOWN:
        err.print(f"  and {len(progress.faults) - FAULTS_SHOWN} more; `vbatch batches --json` shows all of them")


def _show(page: BatchPage) -> None:
    if not page.data:
        out.print("No batches yet. Make one with: vbatch submit FILE")
        return
    headings = ("batch", "status", "answered", "failed", "of", "endpoint", "created")
    table = table_of(*headings, numbers=("answered", "failed", "of"))
    for batch in page.data:
        counts = batch.request_counts
        created = datetime.fromtimestamp(batch.created_at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        numbers = (f"{counts.completed:,}", f"{counts.failed:,}", f"{counts.total:,}")
        table.add_row(batch.id, batch.status, *numbers, batch.endpoint, created)
    print_table(table)
