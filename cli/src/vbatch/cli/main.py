"""The `vbatch` command: lists its subcommands, which `commands` implements; each is imported when it is called."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Annotated, ClassVar

import typer

from vbatch.chassis.files import keep_private
from vbatch.cli.lazy_group import Entry, LazyGroup

NAME = "vbatch"
SERVER = "The server on this machine"
WORK = "Batches"
CURATION = "From answers to data sets"
ACCESS = "Who may do what"
LOG = "The event log"
NEGATIVE: dict[str, object] = {"ignore_unknown_options": True}
"""Allows an argument that begins with a minus, such as a negative number."""


class Commands(LazyGroup):
    """All commands, in the order of `vbatch --help`."""

    entries: ClassVar[Mapping[str, Entry]] = {
        "up": Entry("commands.stack:up", SERVER),
        "down": Entry("commands.stack:down", SERVER),
        "status": Entry("commands.stack:status", SERVER),
        "logs": Entry("commands.stack:logs", SERVER),
        "demo": Entry("demo:demo", SERVER),
        "doctor": Entry("commands.doctor:doctor", SERVER),
        "tune": Entry("commands.tune:tune", SERVER),
        "runners": Entry("commands.runners:app", SERVER),
        "settings": Entry("commands.administration:settings", SERVER),
        "support-bundle": Entry("commands.administration:support_bundle", SERVER),
        "try": Entry("commands.trying:try_file", WORK),
        "submit": Entry("commands.batches:submit", WORK),
        "watch": Entry("commands.batches:watch", WORK),
        "results": Entry("commands.results:results", WORK),
        "lines": Entry("commands.lines:lines", WORK),
        "compare": Entry("commands.compare:compare", WORK),
        "cancel": Entry("commands.batches:cancel", WORK),
        "retry": Entry("commands.retrying:retry", WORK),
        "fanout": Entry("commands.fanouts:fanout", WORK),
        "manifest": Entry("commands.manifest:manifest", WORK),
        "batches": Entry("commands.batches:batches", WORK),
        "queue": Entry("commands.steering:queue", WORK),
        "why": Entry("commands.steering:why", WORK),
        "trace": Entry("commands.trace:trace", WORK),
        "timeline": Entry("commands.compare:timeline", WORK),
        "pause": Entry("commands.steering:pause", WORK),
        "resume": Entry("commands.steering:resume", WORK),
        "priority": Entry("commands.steering:priority", WORK, NEGATIVE),
        "models": Entry("commands.models:models", WORK),
        "webhooks": Entry("commands.webhooks:app", WORK),
        "judge": Entry("commands.judge:app", CURATION),
        "label": Entry("commands.label:app", CURATION),
        "dataset": Entry("commands.dataset:app", CURATION),
        "keys": Entry("commands.keys:app", ACCESS),
        "me": Entry("commands.limits:me", ACCESS),
        "usage": Entry("commands.usage:usage", ACCESS),
        "quota": Entry("commands.limits:quota", ACCESS, NEGATIVE),
        "limits": Entry("commands.limits:limits", ACCESS),
        "audit": Entry("commands.audit:audit", ACCESS),
        "events": Entry("commands.events:app", LOG),
        "dead": Entry("commands.dead:app", LOG),
        "rebuild": Entry("commands.rebuild:rebuild", LOG),
        "backup": Entry("commands.backup:backup", LOG),
        "restore": Entry("commands.backup:restore", LOG),
        "erase": Entry("commands.erase:erase", LOG),
    }


app = typer.Typer(
    name=NAME,
    cls=Commands,
    help="An OpenAI-compatible batch inference server on your own GPU.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"{NAME} {version('vbatch-cli')}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
]


@app.callback(help=app.info.help)
def _every_command(is_version_asked: Version = False) -> None:
    keep_private()
