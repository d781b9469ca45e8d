"""judge: records what answers are worth, compares two answers, withdraws judgements."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated
from urllib.parse import quote, urlencode

import msgspec
import typer

from vbatch.cli.api_types import read
from vbatch.cli.client import Server
from vbatch.cli.commands import evaluate
from vbatch.cli.curation_types import Judgement, JudgementList
from vbatch.cli.exits import CommandError, Misused
from vbatch.cli.option_groups import command
from vbatch.cli.options import BatchArgument, err, out, print_json, print_table, table_of
from vbatch.cli.server_options import ServerOptions
from vbatch.contracts.curation import Verdict, Vote
from vbatch.contracts.event_text import amount

JUDGEMENTS = "/v1/judgements"
SENT_AT_ONCE = 500
"""The number of judgements that the server takes in one request."""
LINES_MAX = 100_000
SHOWN_MAX = 1_000
TEXT_CHARS_MAX = 40

LinesArgument = Annotated[
    list[str], typer.Argument(metavar="LINE...", help="Lines of the input file: 7, or 10-20 for several.")
]
AnswerA = Annotated[str, typer.Argument(metavar="BATCH:LINE", help="Answer A.")]
AnswerB = Annotated[str, typer.Argument(metavar="BATCH:LINE", help="Answer B, to the same prompt.")]
FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines, each as POST /v1/judgements takes it.")]
JudgementArgument = Annotated[
    str | None, typer.Argument(metavar="JUDGEMENT", help="Its id; without it the newest one of --judge.")
]
TheVerdict = Annotated[Verdict | None, typer.Option("--verdict", help="Whether a model may learn from it.")]
Good = Annotated[bool, typer.Option("--good", help="Short for --verdict good.")]
Bad = Annotated[bool, typer.Option("--bad", help="Short for --verdict bad.")]
Score = Annotated[float | None, typer.Option("--score", min=1, max=5, help="From 1 to 5.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="A tag; repeat it for several.")]
Note = Annotated[str, typer.Option("--note", help="Why, in your words.")]
Edit = Annotated[str | None, typer.Option("--edit", help="A better answer; @FILE reads it from a file.")]
Better = Annotated[Vote, typer.Option("--better", help="The better answer.")]
Judge = Annotated[str | None, typer.Option("--judge", envvar="VBATCH_JUDGE", help="Who judges; by default your key.")]
Source = Annotated[str, typer.Option("--source", help="api, import, console or model.")]

Said = Mapping[str, object]
"""One judgement, as the server takes it."""

app = typer.Typer(
    help="Judge answers: answer, pair, undo, list, import; let a model judge: evaluate.", no_args_is_help=True
)


@dataclass(frozen=True, slots=True)
class OpinionOptions:
    """The judgement of an answer, from the command line."""

    good: Good = False
    bad: Bad = False
    verdict: TheVerdict = None
    score: Score = None
    tag: Tags = None
    note: Note = ""
    edit: Edit = None

    def said(self) -> Said:
        """Return the judgement. Raises Misused if it is empty, or has two verdicts."""
        opinion = {
            "verdict": _verdict(self.verdict, good=self.good, bad=self.bad),
            "score": self.score,
            "tags": self.tag or None,
            "note": self.note or None,
            "edited": None if self.edit is None else _edited(self.edit),
        }
        given = {key: value for key, value in opinion.items() if value is not None}
        if not given:
            raise Misused("Say something: --good, --bad, --verdict, --score, --tag, --note or --edit.")
        return given


@app.command()
@command
def answer(
    batch: BatchArgument, lines: LinesArgument, opinion: OpinionOptions, judge: Judge = None, *, server: ServerOptions
) -> None:
    """Judge the answers to one line or to several: a verdict, a score, tags, a note, a better answer."""
    said = opinion.said()
    _record(server, [{"batch_id": batch, "line": line, **said} for line in _lines_named(lines)], judge)


@app.command()
@command
def pair(
    a: AnswerA, b: AnswerB, better: Better, note: Note = "", judge: Judge = None, *, server: ServerOptions
) -> None:
    """Say which of two answers to one prompt is better."""
    (batch_a, line_a), (batch_b, line_b) = _answer_named(a), _answer_named(b)
    pair_of = {"batch_id": batch_a, "line": line_a, "other_batch_id": batch_b, "other_line": line_b}
    _record(server, [pair_of | {"vote": better.value} | ({"note": note} if note else {})], judge)


@app.command()
@command
def undo(judgement: JudgementArgument = None, judge: Judge = None, *, server: ServerOptions) -> None:
    """Withdraw a judgement: it no longer counts."""

    async def ask(gateway: Server) -> bytes:
        chosen = judgement or await _newest(gateway, judge)
        return await gateway.ask("POST", f"{JUDGEMENTS}/{quote(chosen, safe='')}/withdraw")

    server.show(server.ask(ask), Judgement, lambda found: err.print(f"{found.id} is taken back.", markup=False))


@app.command("list")
@command
def list_judgements(batch: BatchArgument, judge: Judge = None, *, server: ServerOptions) -> None:
    """List the judgements of a batch, oldest first."""

    async def ask(gateway: Server) -> list[bytes]:
        return [page async for page in pages_of(gateway, batch, judge)]

    _print_pages(server, server.ask(ask), partial(_show, batch))


@app.command("import")
@command
def import_judgements(
    file: FileArgument, judge: Judge = None, source: Source = "import", *, server: ServerOptions
) -> None:
    """Record judgements from a file of JSON lines."""
    _record(server, _judgements_in(file), judge, source)


for evaluation in (evaluate.evaluate, evaluate.evaluations, evaluate.agreement):
    app.command()(evaluation)


async def pages_of(server: Server, batch: str, judge: str | None) -> AsyncIterator[bytes]:
    """Yield every page of the judgements of a batch."""
    after = 0
    while True:
        asked = {"batch_id": batch, "after": after, "limit": SHOWN_MAX} | ({"judge": judge} if judge else {})
        page = await server.ask("GET", f"{JUDGEMENTS}?{urlencode(asked)}")
        yield page
        found = read(page, JudgementList)
        if not found.has_more or found.last_sequence is None:
            return
        after = found.last_sequence


def _record(server: ServerOptions, judgements: Sequence[Said], judge: str | None, source: str = "api") -> None:
    async def ask(gateway: Server) -> list[bytes]:
        pieces = [judgements[first : first + SENT_AT_ONCE] for first in range(0, len(judgements), SENT_AT_ONCE)]
        asked: Said = {"source": source} | ({"judge": judge} if judge else {})
        return [await gateway.ask("POST", JUDGEMENTS, {**asked, "judgements": piece}) for piece in pieces]

    _print_pages(server, server.ask(ask), _show_recorded)


def _print_pages(server: ServerOptions, pages: Sequence[bytes], show: Callable[[Sequence[Judgement]], None]) -> None:
    """Print each page unchanged with --json, otherwise what `show` prints for all of them together."""
    if server.as_json:
        for page in pages:
            print_json(page)
    else:
        show([judgement for page in pages for judgement in read(page, JudgementList).data])


def _show_recorded(judgements: Sequence[Judgement]) -> None:
    which = f" ({judgements[0].id})" if len(judgements) == 1 else ""
    err.print(f"{amount(len(judgements), 'judgement')} recorded{which}.", markup=False)


async def _newest(server: Server, judge: str | None) -> str:
    asked = {"order": "desc", "limit": 1} | ({"judge": judge} if judge else {})
    found = read(await server.ask("GET", f"{JUDGEMENTS}?{urlencode(asked)}"), JudgementList).data
    if not found:
        raise CommandError("There is no judgement to take back.")
    return found[0].id


def _verdict(verdict: Verdict | None, *, good: bool, bad: bool) -> str | None:
    chosen = {each for each, is_meant in ((verdict, verdict), (Verdict.GOOD, good), (Verdict.BAD, bad)) if is_meant}
    if len(chosen) > 1:
        raise Misused("An answer has one verdict: give --good, --bad or --verdict.")
    return next((str(each) for each in chosen), None)


def _edited(text: str) -> str:
    """Return the text, or the content of the file that @ names."""
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Misused(f"{text[1:]} cannot be read as text.") from error


def _lines_named(names: Sequence[str]) -> list[int]:
    """Return the numbers of `7` and `10-20`, each once."""
    lines: dict[int, None] = {}
    for name in names:
        first, _, last = name.partition("-")
        if not first.isdecimal() or not (last or first).isdecimal():
            raise Misused(f"{name} names no lines: give a number, or two with a minus between them.")
        lines |= dict.fromkeys(range(int(first), min(int(last or first), int(first) + LINES_MAX) + 1))
    return list(lines)


def _answer_named(text: str) -> tuple[str, int]:
    batch, colon, line = text.rpartition(":")
    if not colon or not line.isdecimal():
        raise Misused(f"{text} names no answer: give the batch and the line, with a colon between them.")
    return batch, int(line)


def _judgements_in(file: Path) -> list[Said]:
    try:
        return [msgspec.json.decode(line, type=dict[str, object]) for line in file.read_bytes().splitlines() if line]
    except OSError as error:
        raise Misused(f"{file} cannot be read: {error.strerror}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Misused(f"{file} does not hold one JSON object a line: {error}.") from error


def _show(batch: str, judgements: Sequence[Judgement]) -> None:
    if not judgements:
        out.print(f"Nobody has judged it yet. Begin with: vbatch judge answer {batch} 1 --good", markup=False)
        return
    table = table_of("judgement", "line", "judge", "says", "note", numbers=("line",))
    for judgement in judgements:
        table.add_row(judgement.id, str(judgement.line), judgement.judge, _words(judgement), _short(judgement.note))
    print_table(table)


def _words(judgement: Judgement) -> str:
    if judgement.vote is not None:
        other = f"{judgement.other_batch_id}:{judgement.other_line}"
        return f"as good as {other}" if judgement.vote == Vote.TIE else f"{judgement.vote} against {other}"
    score = f"score {judgement.score:g}" if judgement.score is not None else None
    edited = "edited" if judgement.edited is not None else None
    return ", ".join(part for part in (judgement.verdict, score, *judgement.tags, edited) if part)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= TEXT_CHARS_MAX else line[:TEXT_CHARS_MAX] + "…"
