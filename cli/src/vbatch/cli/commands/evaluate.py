"""judge evaluate, evaluations, agreement: lets a model judge answers, and shows how far it can be trusted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Annotated
from urllib.parse import quote, urlencode

import typer

from vbatch.cli.api_types import read
from vbatch.cli.client import Server, connect
from vbatch.cli.curation_types import Agreement, AgreementFigure, Evaluation, EvaluationList
from vbatch.cli.exits import Misused
from vbatch.cli.options import ApiKey, AsJson, Url, err, out, print_json, print_table, run, server_url, table_of
from vbatch.contracts.bounds import fits
from vbatch.contracts.evaluations import RUBRIC_BYTES_MAX
from vbatch.contracts.event_text import amount

EVALUATIONS = "/v1/evaluations"
AGREEMENT = "/v1/judgements/agreement"
LOOK_SECONDS = 0.5

Batches = Annotated[
    list[str],
    typer.Argument(metavar="BATCH...", help="One batch, or several whose answers to the same prompts compete."),
]
JudgedBatches = Annotated[list[str], typer.Argument(metavar="BATCH...", help="The batches whose answers were judged.")]
With = Annotated[str, typer.Option("--with", metavar="MODEL", help="The model that judges.")]
RubricFile = Annotated[
    Path,
    typer.Option(
        "--rubric",
        metavar="FILE",
        help="What makes an answer good. {prompt} and {answer}, of pairs {first} and {second}, stand for the texts; "
        "without them the texts follow.",
    ),
]
Sample = Annotated[int | None, typer.Option("--sample", min=1, help="So many answers, drawn by --seed; else all.")]
By = Annotated[
    str, typer.Option("--by", help="Draw evenly from each model, or from each quarter by length: model, length.")
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Draws the sample, and which side of a pair comes first.")]
CustomId = Annotated[str | None, typer.Option("--custom-id", help="Only lines whose custom_id holds this text.")]
Unjudged = Annotated[bool, typer.Option("--unjudged", help="Only answers that nobody has judged.")]
TokensMax = Annotated[
    int | None, typer.Option("--max-tokens", min=16, help="Of one verdict with its reason; 512 by default.")
]
Window = Annotated[str | None, typer.Option("--completion-window", help="The time for it all, such as 24h.")]
Priority = Annotated[int | None, typer.Option("--priority", help="Of the batch of judge requests.")]
RequestId = Annotated[str | None, typer.Option("--request-id", help="The same id asks once, however often it is sent.")]
Wait = Annotated[float, typer.Option("--wait", min=0, help="So many seconds to wait until all verdicts are recorded.")]


def evaluate(
    batches: Batches,
    model: With,
    rubric: RubricFile,
    sample: Sample = None,
    by: By = "none",
    seed: Seed = 0,
    custom_id: CustomId = None,
    unjudged: Unjudged = False,
    max_tokens: TokensMax = None,
    completion_window: Window = None,
    priority: Priority = None,
    request_id: RequestId = None,
    wait: Wait = 600,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Let a model judge answers by a rubric, as a batch. Its verdicts become judgements."""
    body: dict[str, object] = {
        "batch_ids": batches,
        "model": model,
        "sample": sample,
        "stratum": by,
        "seed": seed,
        "custom_id": custom_id,
        "unjudged": unjudged,
        "max_tokens": max_tokens,
        "completion_window": completion_window,
        "priority": priority,
        "request_id": request_id,
    }

    async def ask() -> bytes:
        asked = body | {"rubric": _rubric(rubric)}
        async with connect(server_url(url), api_key) as server:
            answer = await server.ask("POST", EVALUATIONS, asked)
            return await _watched(server, answer, wait, is_quiet=as_json)

    _finish(run(ask()), as_json=as_json)


def evaluations(url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """List the evaluations, the newest first, and how many of their items have no verdict."""

    async def ask() -> bytes:
        async with connect(server_url(url), api_key) as server:
            return await server.ask("GET", EVALUATIONS)

    answer = run(ask())
    if as_json:
        print_json(answer)
    else:
        _show(read(answer, EvaluationList).data)


def agreement(batches: JudgedBatches, url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Show how well judges agree: people with each other, and each model with the people."""

    async def ask() -> bytes:
        async with connect(server_url(url), api_key) as server:
            return await server.ask("GET", f"{AGREEMENT}?{urlencode([('batch_id', batch) for batch in batches])}")

    answer = run(ask())
    if as_json:
        print_json(answer)
    else:
        _show_agreement(read(answer, Agreement))


def _rubric(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Misused(f"{file} cannot be read as text.") from error
    if not fits(text, RUBRIC_BYTES_MAX):
        raise Misused(f"{file} is too long: a rubric has at most {RUBRIC_BYTES_MAX:,} bytes.")
    return text


async def _watched(server: Server, answer: bytes, seconds: float, *, is_quiet: bool) -> bytes:
    """Return the evaluation when it is completed or the time is over. Its progress goes to stderr."""
    until, shown = monotonic() + seconds, ""
    while (evaluation := read(answer, Evaluation)).status != "completed" and monotonic() < until:
        words = f"{evaluation.id}: {evaluation.status} in {evaluation.judge_batch_id}"
        if words != shown and not is_quiet:
            err.print(words, markup=False)
        shown = words
        await asyncio.sleep(LOOK_SECONDS)
        answer = await server.ask("GET", f"{EVALUATIONS}/{quote(evaluation.id, safe='')}")
    return answer


def _finish(answer: bytes, *, as_json: bool) -> None:
    evaluation = read(answer, Evaluation)
    if as_json:
        print_json(answer)
    elif evaluation.status == "completed":
        err.print(f"{_summary(evaluation)} ({evaluation.id}).", markup=False)
    else:
        err.print(f"{evaluation.id} is {evaluation.status}; see `vbatch judge evaluations`.", markup=False)


def _summary(evaluation: Evaluation) -> str:
    without = [
        f"{count:,} {words}"
        for count, words in (
            (evaluation.unanswered_count, "unanswered"),
            (evaluation.cut_count, "cut"),
            (evaluation.malformed_count, "malformed"),
        )
        if count
    ]
    lost = f"; no verdict: {', '.join(without)}" if without else ""
    turned = evaluation.inconsistent_count
    ties = f", {turned:,} of them ties because the order decided" if turned else ""
    judged = f"{evaluation.judge} judged {evaluation.judged_count:,} of {amount(evaluation.item_count, 'item')}"
    return f"{judged}{ties}{lost}"


def _show(found: Sequence[Evaluation]) -> None:
    if not found:
        out.print("No model has judged yet. Begin with: vbatch judge evaluate BATCH --with MODEL --rubric FILE")
        return
    table = table_of("evaluation", "judge", "kind", "judged", "ties by order", "no verdict", "state",
                     numbers=("judged", "ties by order", "no verdict"))  # fmt: skip
    for each in found:
        judged = f"{each.judged_count:,}/{each.item_count:,}"
        lost = each.unanswered_count + each.cut_count + each.malformed_count
        table.add_row(each.id, each.judge, each.kind, judged, str(each.inconsistent_count), str(lost), each.status)
    print_table(table)


def _show_agreement(found: Agreement) -> None:
    every = [*found.people, *found.models, *found.pairs]
    if not every:
        out.print("Nobody has judged these answers yet.")
        return
    numbers = ("shared", "same", "kappa", "alpha")
    table = table_of("judges", "of", *numbers, "which means", numbers=numbers)
    for figure in every:
        table.add_row(*_cells(figure))
    print_table(table)


def _cells(figure: AgreementFigure) -> list[str]:
    same = "" if figure.same_share is None else f"{figure.same_share:.0%}"
    values = ["" if value is None else f"{value:.2f}" for value in (figure.kappa, figure.alpha)]
    return [" and ".join(figure.judges), figure.kind, str(figure.shared_count), same, *values, figure.sentence]
