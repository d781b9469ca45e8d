"""lines: the answered lines of a batch, filtered, sorted, searched; and the selection as a file."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated
from urllib.parse import quote, urlencode

import msgspec
import typer
from rich.markup import escape

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
from vbatch.contracts.event_text import amount

LINES_MAX = 200
SHOWN_CHARS = 60
HEADINGS = ("line", "custom_id", "ended", "tokens", "seconds", "answer")
FORMATS = ("jsonl", "csv")


class Outcome(StrEnum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Order(StrEnum):
    LINE = "line"
    SECONDS = "seconds"
    OUTPUT_TOKENS = "output_tokens"
    TEXT_CHARS = "text_chars"


class Line(msgspec.Struct, frozen=True):
    line: int
    custom_id: str
    succeeded: bool
    status_code: int | None
    error_code: str | None
    output_tokens: int
    seconds: float
    answer: str | None
    finish_reason: str | None = None


class Search(msgspec.Struct, frozen=True):
    hits: int
    next: str | None


class Lines(msgspec.Struct, frozen=True):
    data: list[Line]
    has_more: bool
    search: Search | None = None


Contains = Annotated[str | None, typer.Option("--contains", help="Only answers that hold these words.")]
InRequests = Annotated[bool, typer.Option("--in-requests", help="Look for the words in the requests instead.")]
ByOutcome = Annotated[Outcome | None, typer.Option("--outcome", help="Only lines that ended so.")]
Finish = Annotated[str | None, typer.Option("--finish-reason", help="Only answers that ended so, such as `length`.")]
IsJson = Annotated[bool | None, typer.Option("--valid-json/--no-json", help="Only answers that are JSON, or are not.")]
ModelName = Annotated[str | None, typer.Option("--model", help="Only answers that this model gave.")]
Sorted = Annotated[Order, typer.Option("--order", help="What to sort by.")]
Greatest = Annotated[bool, typer.Option("--descending", help="The greatest first.")]
Limit = Annotated[int, typer.Option("-n", "--limit", min=1, max=LINES_MAX, help="At most so many.")]
Output = Annotated[
    Path | None, typer.Option("-o", "--output", help="Write all of the selection to this file: .jsonl or .csv.")
]


def lines(
    batch: BatchArgument,
    contains: Contains = None,
    in_requests: InRequests = False,
    outcome: ByOutcome = None,
    finish_reason: Finish = None,
    is_json: IsJson = None,
    model: ModelName = None,
    order: Sorted = Order.LINE,
    descending: Greatest = False,
    limit: Limit = 20,
    output: Output = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List answered lines of a batch, or write a selection of them to a file."""
    filters = {
        "contains": contains,
        "search_in": "requests" if contains and in_requests else None,
        "outcome": outcome,
        "finish_reason": finish_reason,
        "is_json": str(is_json).lower() if is_json is not None else None,
        "model": model,
    }
    base = f"/v1/batches/{quote(batch, safe='')}/lines"
    listed = filters | {"order": ("-" if descending else "") + order, "limit": str(limit)}

    async def show() -> None:
        async with connect(server_url(url), api_key) as server:
            answer = await server.ask("GET", base + _query(listed))
        if as_json:
            print_json(answer)
        else:
            _show(read(answer, Lines))

    async def export(path: Path) -> None:
        count = 0
        async with connect(server_url(url), api_key) as server:
            with sink(path) as file:
                async for piece in server.download(f"{base}/export" + _query(filters | {"format": _format(path)})):
                    file.write(piece)
                    count += len(piece)
        err.print(f"{count:,} bytes in {path}.", markup=False)

    run(export(output) if output is not None else show())


def _query(values: dict[str, str | None]) -> str:
    return "?" + urlencode({name: value for name, value in values.items() if value is not None})


def _format(path: Path) -> str:
    """By the end of its name. Raises Misused."""
    name = path.suffix.removeprefix(".").lower()
    if name not in FORMATS:
        raise Misused(f"{path.name} tells no format: let it end in .jsonl or .csv.")
    return name


def _show(found: Lines) -> None:
    if found.data:
        table = table_of(*HEADINGS, numbers=("line", "tokens", "seconds"))
        for line in found.data:
            table.add_row(*_cells(line))
        print_table(table)
    else:
        out.print("No answered line fits.")
    if found.search is not None:
        rest = " in the first part; write all of them to a file with -o" if found.search.next else ""
        out.print(f"{amount(found.search.hits, 'line')} with these words{rest}.")
    if found.has_more:
        out.print("There are more: raise --limit, or write all of them to a file with -o.")


def _cells(line: Line) -> tuple[str, ...]:
    said = " ".join((line.answer or "").split())
    ended = line.finish_reason or "answered" if line.succeeded else line.error_code or f"HTTP {line.status_code}"
    shown = said if len(said) <= SHOWN_CHARS else said[: SHOWN_CHARS - 1] + "…"
    return (
        f"{line.line:,}",
        _safe(line.custom_id),
        _safe(ended),
        f"{line.output_tokens:,}",
        f"{line.seconds:.2f}",
        _safe(shown),
    )


def _safe(text: str) -> str:
    """Text of others: no markup, and nothing that a terminal would act on."""
    return escape("".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text))
