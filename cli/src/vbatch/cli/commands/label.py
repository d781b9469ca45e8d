"""label: hands answers to Label Studio, where people judge them, and shows the progress."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from time import monotonic
from typing import Annotated
from urllib.parse import quote

import typer

from vbatch.cli.api_types import read
from vbatch.cli.client import Server
from vbatch.cli.curation_types import Labeling, LabelingList
from vbatch.cli.exits import CommandError, Misused
from vbatch.cli.option_groups import command
from vbatch.cli.options import err, out, print_table, table_of
from vbatch.cli.server_options import ServerOptions
from vbatch.contracts.event_text import amount
from vbatch.contracts.labeling import LabelingTemplate

LABELINGS = "/v1/labelings"
LOOK_SECONDS = 0.5


class SampleBy(StrEnum):
    """The attribute over which a sample is spread, or with which it begins."""

    NONE = "none"
    MODEL = "model"
    LENGTH = "length"
    DISAGREEMENT = "disagreement"
    MARGIN = "margin"
    OUTLIER = "outlier"


ORDERS = (SampleBy.DISAGREEMENT, SampleBy.MARGIN, SampleBy.OUTLIER)
WHERE = ("model", "custom_id", "unjudged")

Batches = Annotated[
    list[str], typer.Argument(metavar="BATCH...", help="One batch, or two whose answers to the same prompts compete.")
]
LabelingArgument = Annotated[str, typer.Argument(metavar="LABELING", help="Its id, as `list` shows it.")]
Where = Annotated[
    list[str] | None,
    typer.Option("--where", help="model=NAME, custom_id=TEXT (anywhere in it), or unjudged; repeat it for several."),
]
Sample = Annotated[int | None, typer.Option("--sample", min=1, help="So many answers, drawn by --seed; else all.")]
By = Annotated[
    SampleBy,
    typer.Option(
        "--by",
        help="Draw evenly from each model or each quarter by length; or take first what is in doubt: the judges differ "
        "(disagreement), the score is near a threshold (margin), or it is unlike the other answers (outlier, with "
        "--embeddings).",
    ),
]
Embeddings = Annotated[
    str | None,
    typer.Option(
        "--embeddings",
        metavar="BATCH",
        help="For --by outlier: a batch of embeddings of the answers, under the same custom_ids.",
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Draws the sample, and the sides of pairs.")]
Template = Annotated[
    LabelingTemplate | None, typer.Option("--template", help="What people see; by default what fits the answers.")
]
Title = Annotated[str | None, typer.Option("--title", help="The title of the project.")]
Project = Annotated[int | None, typer.Option("--project", help="Extend this project of Label Studio.")]
RequestId = Annotated[str | None, typer.Option("--request-id", help="The same id asks once, however often it is sent.")]
Wait = Annotated[float, typer.Option("--wait", min=0, help="So many seconds to wait until all tasks are there.")]

app = typer.Typer(help="Label Studio: push, status, list.", no_args_is_help=True)


@dataclass(frozen=True, slots=True)
class PushOptions:
    """Which answers are handed over, and how people see them."""

    where: Where = None
    sample: Sample = None
    by: By = SampleBy.NONE
    embeddings: Embeddings = None
    seed: Seed = 0
    template: Template = None
    title: Title = None
    project: Project = None
    request_id: RequestId = None

    def asked(self, batches: Sequence[str]) -> dict[str, object]:
        """Return the body of the request. Raises Misused."""
        return {
            "batch_ids": batches,
            "sample": self.sample,
            **_sampling(self.by, self.embeddings),
            "seed": self.seed,
            "template": self.template,
            "title": self.title,
            "project_id": self.project,
            "request_id": self.request_id,
        } | _filters(self.where or [])


@app.command()
@command
def push(batches: Batches, options: PushOptions, wait: Wait = 600, *, server: ServerOptions) -> None:
    """Hand answers to Label Studio as tasks, with the answers as predictions, and show the progress."""
    answer = server.ask(partial(_pushed, options.asked(batches), wait, is_quiet=server.as_json))
    server.show(answer, Labeling, _finish)


@app.command()
@command
def status(labeling: LabelingArgument, *, server: ServerOptions) -> None:
    """Show the progress of a labeling."""
    answer = server.ask(lambda gateway: gateway.ask("GET", f"{LABELINGS}/{quote(labeling, safe='')}"))
    server.show(answer, Labeling, lambda found: _show([found]))


@app.command("list")
@command
def list_labelings(*, server: ServerOptions) -> None:
    """List your labelings, the newest first."""
    answer = server.ask(lambda gateway: gateway.ask("GET", LABELINGS))
    server.show(answer, LabelingList, lambda found: _show(found.data))


async def _pushed(asked: object, wait: float, gateway: Server, *, is_quiet: bool) -> bytes:
    answer = await gateway.ask("POST", LABELINGS, asked)
    answer = await _watched(gateway, answer, wait, is_quiet=is_quiet)
    labeling = read(answer, Labeling)
    if labeling.status == "failed" and not is_quiet:
        raise CommandError(f"Label Studio refuses it: {labeling.failure}")
    return answer


async def _watched(server: Server, answer: bytes, seconds: float, *, is_quiet: bool) -> bytes:
    """Return the labeling when all its tasks are there, it is refused, or the time is over. Its progress goes to
    stderr."""
    until, shown = monotonic() + seconds, ""
    while (labeling := read(answer, Labeling)).status in ("waiting", "pushing") and monotonic() < until:
        words = f"{labeling.id}: {labeling.pushed_count:,} of {amount(labeling.item_count, 'task')} in Label Studio"
        if words != shown and not is_quiet:
            err.print(words, markup=False)
        shown = words
        await asyncio.sleep(LOOK_SECONDS)
        answer = await server.ask("GET", f"{LABELINGS}/{quote(labeling.id, safe='')}")
    return answer


def _finish(labeling: Labeling) -> None:
    if labeling.status == "pushed":
        tasks = amount(labeling.item_count, "task")
        err.print(f"{tasks} in project {labeling.project_id} ({labeling.id}).", markup=False)
    else:
        err.print(f"{labeling.id} is {labeling.status}; see `vbatch label status {labeling.id}`.", markup=False)


def _sampling(by: SampleBy, embeddings: str | None) -> dict[str, object]:
    """Raises Misused."""
    if (by is SampleBy.OUTLIER) != (embeddings is not None):
        raise Misused("--by outlier and --embeddings BATCH belong together.")
    return {"order": by.value, "embeddings": embeddings} if by in ORDERS else {"stratum": by.value}


def _filters(where: Sequence[str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for condition in where:
        name, equals, value = condition.partition("=")
        if name not in WHERE or bool(equals) == (name == "unjudged"):
            raise Misused(f"--where {condition} is not understood: model=NAME, custom_id=TEXT, or unjudged.")
        found[name] = value if equals else True
    return found


def _show(labelings: Sequence[Labeling]) -> None:
    if not labelings:
        out.print("Nothing was handed to Label Studio yet. Begin with: vbatch label push BATCH --sample 200")
        return
    table = table_of("labeling", "title", "template", "project", "tasks", "state", numbers=("project", "tasks"))
    for each in labelings:
        tasks = f"{each.pushed_count:,}/{each.item_count:,}"
        project = "" if each.project_id is None else str(each.project_id)
        table.add_row(each.id, each.title, each.template, project, tasks, each.failure or each.status)
    print_table(table)
