"""compare: batches over the same inputs side by side; timeline: the state of a batch at an event of the log."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated
from urllib.parse import quote, urlencode

import msgspec
import typer

from vbatch.cli.client import Server
from vbatch.cli.commands.results import sink, written
from vbatch.cli.exits import Misused
from vbatch.cli.option_groups import command
from vbatch.cli.options import BatchArgument, err, out, print_table, table_of
from vbatch.cli.server_options import ServerOptions

BATCHES_MIN, BATCHES_MAX = 2, 6
COMPARED = ("batch", "model", "answered", "failed", "cut", "chars", "seconds", "tokens out", "agrees")
UNKNOWN = "-"

BatchesArgument = Annotated[
    list[str], typer.Argument(metavar="BATCH...", help="Two to six; the first is the reference.")
]
OnlyDifferent = Annotated[bool, typer.Option("--different", help="Write only the lines whose answers differ.")]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="Write all answers side by side to this CSV file.")]
At = Annotated[int | None, typer.Option("--at", metavar="SEQUENCE", min=1, help="As of this event; by default now.")]


class Share(msgspec.Struct, frozen=True):
    share: float | None
    low: float | None
    high: float | None


class ComparedBatch(msgspec.Struct, frozen=True):
    batch_id: str
    model: str | None
    answered: int
    failed: int
    cut: int
    seconds_p50: float | None
    chars_p50: float | None
    output_tokens: int
    agreement: Share | None


class Comparison(msgspec.Struct, frozen=True):
    data: list[ComparedBatch]


class State(msgspec.Struct, frozen=True):
    sequence: int
    event: str
    sentence: str
    status: str
    is_paused: bool
    priority: int
    total: int
    completed: int
    failed: int
    output_tokens: int


class Mark(msgspec.Struct, frozen=True):
    sequence: int
    kind: str
    sentence: str


class Timeline(msgspec.Struct, frozen=True):
    marks: list[Mark]
    state: State


@command
def compare(
    batches: BatchesArgument, only_different: OnlyDifferent = False, output: Output = None, *, server: ServerOptions
) -> None:
    """Compare batches over the same inputs: failures, lengths, times, and how often they agree with the first."""
    query = _asked(batches)
    if output is not None:
        chosen = query | {"only": "different" if only_different else "all"}
        server.ask(partial(_export, f"/v1/comparisons/export?{urlencode(chosen)}", output))
        err.print(f"Written to {output}.", markup=False)
    else:
        answer = server.ask(lambda gateway: gateway.ask("GET", f"/v1/comparisons?{urlencode(query)}"))
        server.show(answer, Comparison, _show)


@command
def timeline(batch: BatchArgument, at: At = None, *, server: ServerOptions) -> None:
    """Show what happened to a batch, and its state at an event of the log."""
    path = f"/v1/batches/{quote(batch, safe='')}/timeline" + (f"?at={at}" if at is not None else "")
    server.show(server.ask(lambda gateway: gateway.ask("GET", path)), Timeline, _tell)


async def _export(path: str, output: Path, gateway: Server) -> None:
    with sink(output) as file:
        await written(gateway.download(path), file)


def _asked(batches: list[str]) -> dict[str, str]:
    """Return the query parameters. Raises Misused."""
    if not BATCHES_MIN <= len(batches) <= BATCHES_MAX:
        raise Misused(f"Give {BATCHES_MIN} to {BATCHES_MAX} batches.")
    return {"batches": ",".join(batches)}


def _show(comparison: Comparison) -> None:
    table = table_of(*COMPARED, numbers=COMPARED[2:8])
    for each in comparison.data:
        table.add_row(*_cells(each))
    print_table(table)
    out.print("Characters and seconds are medians; agreement is the same text, with its interval of 95 %.")


def _cells(batch: ComparedBatch) -> tuple[str, ...]:
    return (
        batch.batch_id,
        batch.model or "several",
        f"{batch.answered:,}",
        f"{batch.failed:,}",
        f"{batch.cut:,}",
        _number(batch.chars_p50, 0),
        _number(batch.seconds_p50, 2),
        f"{batch.output_tokens:,}",
        _agrees(batch.agreement),
    )


def _tell(told: Timeline) -> None:
    for mark in told.marks:
        out.print(f"{mark.sequence:>8}  {mark.kind}: {mark.sentence}", markup=False)
    state = told.state
    paused = ", paused" if state.is_paused else ""
    out.print(
        f"As of event {state.sequence} ({state.event}): {state.status}{paused}, priority {state.priority},",
        markup=False,
    )
    out.print(
        f"{state.completed:,} succeeded and {state.failed:,} failed of {state.total:,}, {state.output_tokens:,} tokens."
    )


def _agrees(share: Share | None) -> str:
    if share is None:
        return "the reference"
    if share.share is None or share.low is None or share.high is None:
        return UNKNOWN
    return f"{100 * share.share:.0f} % ({100 * share.low:.0f} to {100 * share.high:.0f})"


def _number(value: float | None, digits: int) -> str:
    return UNKNOWN if value is None else f"{value:,.{digits}f}"
