"""What every command accepts, said once: which server, with which key, and whether a program is reading."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Collection, Coroutine
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from vbatch.chassis.settings import BadSettings, load
from vbatch.cli.exits import Misused, ending
from vbatch.local.settings import LocalSettings

T = TypeVar("T")

TABLE_COLUMNS_MAX = 200

Url = Annotated[
    str | None, typer.Option("--url", envvar="VBATCH_URL", help="The server; by default the one on this machine.")
]
ApiKey = Annotated[str | None, typer.Option("--api-key", envvar="VBATCH_API_KEY", help="Needed where keys are on.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs: one JSON document, or one a line.")]
BatchArgument = Annotated[str, typer.Argument(metavar="BATCH", help="The batch's id.")]

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def local_settings() -> LocalSettings:
    """The settings of the stack on this machine. Raises Misused, naming what is bad."""
    try:
        return load(LocalSettings)
    except BadSettings as error:
        raise Misused(str(error)) from error


def server_url(given: str | None) -> str:
    """The URL asked for, or that of the local stack's gateway."""
    return given or f"http://127.0.0.1:{local_settings().gateway_port}"


def run(command: Coroutine[Any, Any, T]) -> T:
    """A whole command: runs it, and ends the process as `exits` says."""
    with ending():
        return asyncio.run(command)


def table_of(*headings: str, numbers: Collection[str] = ()) -> Table:
    """A plain table whose cells are never cut, so that ids can be copied; the columns in `numbers` stand right."""
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, no_wrap=True, justify="right" if heading in numbers else "left")
    return table


def print_table(table: Table) -> None:
    """At its natural width, also where the screen or the pipe is narrower."""
    Console(highlight=False, width=max(out.width, TABLE_COLUMNS_MAX)).print(table)


def print_json(document: bytes) -> None:
    """One JSON document on one line, as it is."""
    sys.stdout.buffer.write(document.strip() + b"\n")
    sys.stdout.buffer.flush()
