"""label: hands answers to Label Studio, where people judge them, and says how far that is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from enum import StrEnum
from time import monotonic
from typing import Annotated
from urllib.parse import quote

import typer

from vbatch.cli.api_types import read
from vbatch.cli.client import Server, connect
from vbatch.cli.curation_types import Labeling, LabelingList
from vbatch.cli.exits import CommandError, Misused
from vbatch.cli.options import ApiKey, AsJson, Url, err, out, print_json, print_table, run, server_url, table_of
from vbatch.contracts.event_text import amount
from vbatch.contracts.labeling import LabelingTemplate

LABELINGS = "/v1/labelings"
LOOK_SECONDS = 0.5


class SampleBy(StrEnum):
    """What a sample is spread over, or begins with."""

    NONE = "none"
    MODEL = "model"
    LENGTH = "length"
    DISAGREEMENT = "disagreement"
    MARGIN = "margin"


DOUBTS = (SampleBy.DISAGREEMENT, SampleBy.MARGIN)
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
        help="Draw evenly from each model or each quarter by length, or take first what is in doubt: the judges differ "
        "(disagreement), or the score is near a threshold (margin).",
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


@app.command()
def push(
    batches: Batches,
    where: Where = None,
    sample: Sample = None,
    by: By = SampleBy.NONE,
    seed: Seed = 0,
    template: Template = None,
    title: Title = None,
    project: Project = None,
    request_id: RequestId = None,
    wait: Wait = 600,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Hand answers to Label Studio as tasks, with the answers as predictions; prints how far it is."""
    body: dict[str, object] = {
        "batch_ids": batches,
        "sample": sample,
        **_sampling(by),
        "seed": seed,
        "template": template,
        "title": title,
        "project_id": project,
        "request_id": request_id,
    }

    async def ask() -> bytes:
        asked = body | _filters(where or [])
        async with connect(server_url(url), api_key) as server:
            answer = await server.ask("POST", LABELINGS, asked)
            answer = await _watched(server, answer, wait, is_quiet=as_json)
        labeling = read(answer, Labeling)
        if labeling.status == "failed" and not as_json:
            raise CommandError(f"Label Studio refuses it: {labeling.failure}")
        return answer

    _finish(run(ask()), as_json=as_json)


@app.command()
def status(labeling: LabelingArgument, url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """How far a labeling is."""

    async def ask() -> bytes:
        async with connect(server_url(url), api_key) as server:
            return await server.ask("GET", f"{LABELINGS}/{quote(labeling, safe='')}")

    answer = run(ask())
    if as_json:
        print_json(answer)
    else:
        _show([read(answer, Labeling)])


@app.command("list")
def list_labelings(url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Your labelings, the newest first."""

    async def ask() -> bytes:
        async with connect(server_url(url), api_key) as server:
            return await server.ask("GET", LABELINGS)

    answer = run(ask())
    if as_json:
        print_json(answer)
    else:
        _show(read(answer, LabelingList).data)


async def _watched(server: Server, answer: bytes, seconds: float, *, is_quiet: bool) -> bytes:
    """The labeling when all its tasks are there, or it is refused, or the time is over; its progress on stderr."""
    until, shown = monotonic() + seconds, ""
    while (labeling := read(answer, Labeling)).status in ("waiting", "pushing") and monotonic() < until:
        words = f"{labeling.id}: {labeling.pushed_count:,} of {amount(labeling.item_count, 'task')} in Label Studio"
        if words != shown and not is_quiet:
            err.print(words, markup=False)
        shown = words
        await asyncio.sleep(LOOK_SECONDS)
        answer = await server.ask("GET", f"{LABELINGS}/{quote(labeling.id, safe='')}")
    return answer


def _finish(answer: bytes, *, as_json: bool) -> None:
    labeling = read(answer, Labeling)
    if as_json:
        print_json(answer)
    elif labeling.status == "pushed":
        err.print(
            f"{amount(labeling.item_count, 'task')} in project {labeling.project_id} ({labeling.id}).", markup=False
        )
    else:
        err.print(f"{labeling.id} is {labeling.status}; see `vbatch label status {labeling.id}`.", markup=False)


def _sampling(by: SampleBy) -> dict[str, object]:
    return {"order": by.value} if by in DOUBTS else {"stratum": by.value}


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
