"""fanout: the batches of a file that runs on several models, and their answers side by side."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from vbatch.cli.api_types import Fanout
from vbatch.cli.client import Server
from vbatch.cli.commands.results import Output, report, sink, written
from vbatch.cli.option_groups import command
from vbatch.cli.options import print_table, table_of
from vbatch.cli.server_options import ServerOptions

FanoutArgument = Annotated[str, typer.Argument(metavar="FANOUT", help="The fan-out's id.")]
Results = Annotated[bool, typer.Option("--results", help="Download the answers, one line for each request.")]


@command
def fanout(
    fanout_id: FanoutArgument, results: Results = False, output: Output = None, *, server: ServerOptions
) -> None:
    """Show the progress of each model of a fan-out, or download all answers side by side."""
    if results or output is not None:
        lines, count = server.ask(partial(_download, fanout_id, output))
        report(output, lines, count, as_json=server.as_json)
    else:
        server.show(server.ask(lambda gateway: gateway.fanout(fanout_id)), Fanout, _show)


async def _download(fanout_id: str, output: Output, gateway: Server) -> tuple[int, int]:
    with sink(output) as file:
        return await written(gateway.fanout_results(fanout_id), file)


def _show(found: Fanout) -> None:
    headings = ("model", "batch", "status", "answered", "failed", "of")
    table = table_of(*headings, numbers=("answered", "failed", "of"))
    for batch in found.batches:
        counts = batch.request_counts
        numbers = (f"{counts.completed:,}", f"{counts.failed:,}", f"{counts.total:,}")
        table.add_row(batch.model, batch.id, batch.status, *numbers)
    print_table(table)
