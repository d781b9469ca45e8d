"""The `vbatch` command: its subcommands, registered. What each does stands in `commands`."""

from __future__ import annotations

import typer

from vbatch.cli.commands import batches, events, models, results, stack
from vbatch.cli.demo import demo

app = typer.Typer(
    name="vbatch",
    help="An OpenAI-compatible batch inference server on your own GPU.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

SERVER = "The server on this machine"
WORK = "Batches"

for command in (stack.up, stack.down, stack.status, stack.logs, demo):
    app.command(rich_help_panel=SERVER)(command)
for command in (batches.submit, batches.watch, results.results, batches.cancel, batches.batches):
    app.command(rich_help_panel=WORK)(command)
app.command(rich_help_panel=WORK)(models.models)
app.command(rich_help_panel=WORK)(events.events)
