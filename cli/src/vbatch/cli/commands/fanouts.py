"""fanout: the batches of a file that runs on several models, and their answers side by side."""

from __future__ import annotations

from typing import Annotated

import typer

from vbatch.cli.api_types import Fanout, read
from vbatch.cli.client import Server, connect
from vbatch.cli.commands.results import Output, report, sink
from vbatch.cli.options import ApiKey, AsJson, Url, print_json, print_table, run, server_url, table_of

FanoutArgument = Annotated[str, typer.Argument(metavar="FANOUT", help="The fan-out's id.")]
Results = Annotated[bool, typer.Option("--results", help="Download the answers, one line for each request.")]


def fanout(
    fanout_id: FanoutArgument,
    results: Results = False,
    output: Output = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show how far each model of a fan-out is, or download all answers side by side."""

    async def ask() -> None:
        async with connect(server_url(url), api_key) as server:
            if results or output is not None:
                await _download(server, fanout_id, output, as_json=as_json)
                return
            answer = await server.fanout(fanout_id)
        if as_json:
            print_json(answer)
        else:
            _show(read(answer, Fanout))

    run(ask())


async def _download(server: Server, fanout_id: str, output: Output, *, as_json: bool) -> None:
    lines, count = 0, 0
    with sink(output) as file:
        async for piece in server.fanout_results(fanout_id):
            file.write(piece)
            lines, count = lines + piece.count(b"\n"), count + len(piece)
    report(output, lines, count, as_json=as_json)


def _show(found: Fanout) -> None:
    headings = ("model", "batch", "status", "answered", "failed", "of")
    table = table_of(*headings, numbers=("answered", "failed", "of"))
    for batch in found.batches:
        counts = batch.request_counts
        numbers = (f"{counts.completed:,}", f"{counts.failed:,}", f"{counts.total:,}")
        table.add_row(batch.model, batch.id, batch.status, *numbers)
    print_table(table)
