"""usage: what was used, by day, owner and model."""

from __future__ import annotations

import sys
from typing import Annotated
from urllib.parse import urlencode

import msgspec
import typer

from vbatch.cli.forecast_text import batches
from vbatch.cli.option_groups import command
from vbatch.cli.options import out, print_table, table_of
from vbatch.cli.server_options import ServerOptions
from vbatch.contracts.durations import duration
from vbatch.contracts.event_text import amount

HEADINGS = ("day", "owner", "model", "batches", "requests", "failed", "tokens in", "tokens out", "answering")

FirstDay = Annotated[str | None, typer.Option("--from", metavar="DAY", help="From this UTC day, as 2030-01-31.")]
LastDay = Annotated[str | None, typer.Option("--to", metavar="DAY", help="To this UTC day; by default today.")]
Everybody = Annotated[bool, typer.Option("--all-owners", help="Of all owners; needs a key with the scope admin.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print a table as CSV.")]


class UsageRow(msgspec.Struct, frozen=True):
    day: str
    owner: str
    model: str | None
    batches: int
    requests: int
    failed: int
    input_tokens: int
    output_tokens: int
    answering_seconds: float


class UsageTotals(msgspec.Struct, frozen=True):
    batches: int
    requests: int
    failed: int
    input_tokens: int
    output_tokens: int


class Usage(msgspec.Struct, frozen=True):
    first_day: str
    last_day: str
    data: list[UsageRow]
    totals: UsageTotals
    has_more: bool


@command
def usage(
    first_day: FirstDay = None,
    last_day: LastDay = None,
    everybody: Everybody = False,
    as_csv: AsCsv = False,
    *,
    server: ServerOptions,
) -> None:
    """Show what was used, by day and model: requests, tokens, failures. A batch counts on the day of its creation."""
    path = _path(first_day, last_day, everybody=everybody, as_csv=as_csv)
    answer = server.ask(lambda gateway: gateway.ask("GET", path))
    if as_csv:
        sys.stdout.buffer.write(answer)
    else:
        server.show(answer, Usage, _show)


def _path(first_day: str | None, last_day: str | None, *, everybody: bool, as_csv: bool) -> str:
    days = {"first_day": first_day, "last_day": last_day, "format": "csv" if as_csv else None}
    asked = urlencode({name: value for name, value in days.items() if value is not None})
    return f"/v1/{'admin/' if everybody else ''}usage" + (f"?{asked}" if asked else "")


def _show(usage: Usage) -> None:
    if not usage.data:
        out.print(f"No batch was created from {usage.first_day} to {usage.last_day} (UTC).")
        return
    table = table_of(*HEADINGS, numbers=HEADINGS[3:])
    for row in usage.data:
        table.add_row(row.day, row.owner, row.model or "several", *_counts(row), duration(row.answering_seconds))
    print_table(table)
    _show_totals(usage.totals)
    if usage.has_more:
        out.print("There are more rows than one answer holds: ask for fewer days with --from and --to.")


def _counts(row: UsageRow) -> list[str]:
    numbers = (row.batches, row.requests, row.failed, row.input_tokens, row.output_tokens)
    return [f"{number:,}" for number in numbers]


def _show_totals(totals: UsageTotals) -> None:
    tokens = f"{totals.input_tokens:,} tokens in, {totals.output_tokens:,} out"
    out.print(f"{batches(totals.batches)}: {amount(totals.requests, 'request')}, {totals.failed:,} failed, {tokens}.")
