"""lines: the answered lines of a batch, filtered, sorted, searched; and the selection as a file."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated
from urllib.parse import quote, urlencode

import msgspec
import typer
from rich.markup import escape

from vbatch.cli.client import Server
from vbatch.cli.commands.results import sink, written
from vbatch.cli.exits import Misused
from vbatch.cli.option_groups import command
from vbatch.cli.options import BatchArgument, err, out, print_table, table_of
from vbatch.cli.server_options import ServerOptions
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


@dataclass(frozen=True, slots=True)
class FilterOptions:
    contains: Contains = None
    in_requests: InRequests = False
    outcome: ByOutcome = None
    finish_reason: Finish = None
    is_json: IsJson = None
    model: ModelName = None

    def asked(self) -> dict[str, str | None]:
        return {
            "contains": self.contains,
            "search_in": "requests" if self.contains and self.in_requests else None,
            "outcome": self.outcome,
            "finish_reason": self.finish_reason,
            "is_json": str(self.is_json).lower() if self.is_json is not None else None,
            "model": self.model,
        }


@command
def lines(
    batch: BatchArgument,
    filters: FilterOptions,
    order: Sorted = Order.LINE,
    descending: Greatest = False,
    limit: Limit = 20,
    output: Output = None,
    *,
    server: ServerOptions,
) -> None:
    """List answered lines of a batch, or write a selection of them to a file."""
    base = f"/v1/batches/{quote(batch, safe='')}/lines"
    if output is not None:
        path = f"{base}/export" + _query(filters.asked() | {"format": _format(output)})
        err.print(f"{server.ask(partial(_export, path, output)):,} bytes in {output}.", markup=False)
    else:
        listed = filters.asked() | {"order": ("-" if descending else "") + order, "limit": str(limit)}
        server.show(server.ask(lambda gateway: gateway.ask("GET", base + _query(listed))), Lines, _show)


async def _export(path: str, output: Path, gateway: Server) -> int:
    """Write the export to a file. Return the number of bytes."""
    with sink(output) as file:
        _, count = await written(gateway.download(path), file)
    return count


def _query(values: dict[str, str | None]) -> str:
    return "?" + urlencode({name: value for name, value in values.items() if value is not None})


def _format(path: Path) -> str:
    """Return the format for the end of the file name. Raises Misused."""
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
    _show_rest(found)


def _show_rest(found: Lines) -> None:
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
    """Return text from others without markup and without anything that a terminal would act on."""
    return escape("".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text))
