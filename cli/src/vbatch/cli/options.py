"""The options that commands share: the server, the API key, and JSON output."""

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
    str | None, typer.Option("--url", envvar="VBATCH_URL", help="The server's URL; by default that of this machine.")
]
ApiKey = Annotated[
    str | None, typer.Option("--api-key", envvar="VBATCH_API_KEY", help="The API key, if the server needs one.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON: one document, or one per line.")]
BatchArgument = Annotated[str, typer.Argument(metavar="BATCH", help="The batch's id.")]

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def local_settings() -> LocalSettings:
    """Return the settings of the stack on this machine. Raises Misused, naming the invalid one."""
    try:
        return load(LocalSettings)
    except BadSettings as error:
        raise Misused(str(error)) from error


def server_url(given: str | None) -> str:
    """Return the given URL, or that of the local stack's gateway."""
    return given or local_settings().gateway_url


def run(command: Coroutine[Any, Any, T]) -> T:
    """Run a whole command; end the process as `exits` describes."""
    with ending():
        return asyncio.run(command)


def table_of(*headings: str, numbers: Collection[str] = ()) -> Table:
    """Return a plain table whose cells are never cut, so that ids can be copied; columns in `numbers` are
    right-aligned."""
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, no_wrap=True, justify="right" if heading in numbers else "left")
    return table


def print_table(table: Table) -> None:
    """Print the table at its natural width, even if the screen or the pipe is narrower."""
    Console(highlight=False, width=max(out.width, TABLE_COLUMNS_MAX)).print(table)


def print_json(document: bytes) -> None:
    """Print one JSON document unchanged, on one line."""
    sys.stdout.buffer.write(document.strip() + b"\n")
    sys.stdout.buffer.flush()
