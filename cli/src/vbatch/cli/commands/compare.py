"""compare: batches over the same inputs side by side; timeline: how a batch stood at an event of the log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import quote, urlencode

import msgspec
import typer

from vbatch.cli.api_types import read
from vbatch.cli.client import connect
from vbatch.cli.commands.results import sink
from vbatch.cli.exits import Misused
from vbatch.cli.options import (
    ApiKey,
    AsJson,
    BatchArgument,
    Url,
    err,
    out,
    print_json,
    print_table,
    run,
    server_url,
    table_of,
)

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


def compare(
    batches: BatchesArgument,
    only_different: OnlyDifferent = False,
    output: Output = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Compare batches over the same inputs: failures, lengths, times, and how often they agree with the first."""

    async def show() -> None:
        async with connect(server_url(url), api_key) as server:
            answer = await server.ask("GET", f"/v1/comparisons?{urlencode(_asked(batches))}")
        if as_json:
            print_json(answer)
        else:
            _show(read(answer, Comparison))

    async def export(path: Path) -> None:
        query = _asked(batches) | {"only": "different" if only_different else "all"}
        async with connect(server_url(url), api_key) as server:
            with sink(path) as file:
                async for piece in server.download(f"/v1/comparisons/export?{urlencode(query)}"):
                    file.write(piece)
        err.print(f"Written to {path}.", markup=False)

    run(export(output) if output is not None else show())


def timeline(
    batch: BatchArgument, at: At = None, url: Url = None, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Tell what happened to a batch, and how it stood at an event of the log."""

    async def ask() -> None:
        query = f"?at={at}" if at is not None else ""
        async with connect(server_url(url), api_key) as server:
            answer = await server.ask("GET", f"/v1/batches/{quote(batch, safe='')}/timeline{query}")
        if as_json:
            print_json(answer)
        else:
            _tell(read(answer, Timeline))

    run(ask())


def _asked(batches: list[str]) -> dict[str, str]:
    """Raises Misused."""
    if not BATCHES_MIN <= len(batches) <= BATCHES_MAX:
        raise Misused(f"Give {BATCHES_MIN} to {BATCHES_MAX} batches.")
    return {"batches": ",".join(batches)}


def _show(comparison: Comparison) -> None:
    table = table_of(*COMPARED, numbers=COMPARED[2:8])
    for each in comparison.data:
        table.add_row(
            each.batch_id,
            each.model or "several",
            f"{each.answered:,}",
            f"{each.failed:,}",
            f"{each.cut:,}",
            _number(each.chars_p50, 0),
            _number(each.seconds_p50, 2),
            f"{each.output_tokens:,}",
            _agrees(each.agreement),
        )
    print_table(table)
    out.print("Characters and seconds are medians; agreement is the same text, with its interval of 95 %.")


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
