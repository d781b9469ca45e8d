"""dataset: versions of judged answers that never change, and the training files made from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated
from urllib.parse import quote, urlencode

import typer

from vbatch.cli.api_types import read
from vbatch.cli.client import Server
from vbatch.cli.curation_types import Count, Dataset, DatasetDeleted, DatasetList
from vbatch.cli.dataset_files import Container, write_export
from vbatch.cli.exits import Misused
from vbatch.cli.option_groups import command
from vbatch.cli.options import err, out, print_json, print_table, table_of
from vbatch.cli.server_options import ServerOptions
from vbatch.contracts.curation import JudgementSource, PairOrigin
from vbatch.contracts.event_text import amount

DATASETS = "/v1/datasets"


class Format(StrEnum):
    """The content of the lines of an export."""

    RAW = "raw"
    OPENAI_CHAT = "openai-chat"
    OPENAI_PREFERENCE = "openai-preference"
    TRL_SFT = "trl-sft"
    TRL_DPO = "trl-dpo"
    TRL_KTO = "trl-kto"
    SHAREGPT = "sharegpt"
    ALPACA = "alpaca"


class Split(StrEnum):
    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The data set: a-z, 0-9, '.', '_' and '-'.")]
Batches = Annotated[list[str], typer.Argument(metavar="BATCH...", help="The batches whose judged answers it takes.")]
VersionOption = Annotated[str, typer.Option("--version", help="A number, or latest.")]
Judges = Annotated[list[str] | None, typer.Option("--judge", help="Only judgements of this judge; repeat it.")]
Sources = Annotated[
    list[JudgementSource] | None, typer.Option("--source", help="Only judgements that came in so; repeat it.")
]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="Only answers with this tag; repeat it for any of them.")]
Pairs = Annotated[
    list[PairOrigin] | None, typer.Option("--pairs", help="Only pairs that were made so; repeat it. By default all.")
]
ScoreMin = Annotated[float | None, typer.Option("--score-min", min=1, max=5, help="Only answers of this mean score.")]
GoodScore = Annotated[
    float, typer.Option("--good-score", min=1, max=5, help="A score that means good, without verdict.")
]
BadScore = Annotated[float, typer.Option("--bad-score", min=1, max=5, help="A score that means bad, without verdict.")]
TestShare = Annotated[float, typer.Option("--test", min=0, max=0.9, help="The share of the test split.")]
ValidationShare = Annotated[float, typer.Option("--validation", min=0, max=0.9, help="That of the validation split.")]
NearDuplicate = Annotated[
    float, typer.Option("--near-duplicate", min=0.5, max=1, help="Prompts that are so similar share a split.")
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Draws the splits; the same seed splits alike.")]
AtSequence = Annotated[
    int | None, typer.Option("--at", min=1, help="Take the judgements up to this sequence of the event log.")
]
FormatOption = Annotated[Format, typer.Option("--format", "-f", help="What the lines are.")]
ContainerOption = Annotated[
    Container, typer.Option("--as", help="JSON lines, a Parquet file, or a folder for Hugging Face `datasets`.")
]
SplitOption = Annotated[Split | None, typer.Option("--split", help="Only this split; by default all.")]
Lineage = Annotated[bool, typer.Option("--lineage/--no-lineage", help="Say in each line where it comes from.")]
OutputOption = Annotated[Path, typer.Option("-o", "--output", help="The file, or the folder, to write.")]

app = typer.Typer(help="Data sets: create, list, show, export, delete.", no_args_is_help=True)


@dataclass(frozen=True, slots=True)
class RecipeOptions:
    """Which judged answers become examples, and how they are split."""

    judge: Judges = None
    source: Sources = None
    tag: Tags = None
    pairs: Pairs = None
    score_min: ScoreMin = None
    good_score: GoodScore = 4
    bad_score: BadScore = 2
    test: TestShare = 0.1
    validation: ValidationShare = 0
    near_duplicate: NearDuplicate = 0.8
    seed: Seed = 0
    at: AtSequence = None

    def asked(self) -> dict[str, object]:
        return {
            "judges": self.judge or [],
            "sources": self.source or [],
            "tags": self.tag or [],
            "pair_origins": self.pairs or [],
            "score_min": self.score_min,
            "good_score_min": self.good_score,
            "bad_score_max": self.bad_score,
            "test_share": self.test,
            "validation_share": self.validation,
            "near_duplicate": self.near_duplicate,
            "seed": self.seed,
            "at_sequence": self.at,
        }


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What is written from a version, and into what."""

    format_: FormatOption = Format.RAW
    as_: ContainerOption = Container.JSONL
    version: VersionOption = "latest"
    split: SplitOption = None
    lineage: Lineage = True

    def splits(self, record: Dataset) -> list[Split]:
        """Return the splits that hold examples. Raises Misused if there are none."""
        found = [each for each in Split if _count(record.statistics.splits, each) and self.split in (None, each)]
        if not found:
            raise Misused(f"{record.id} has no split {self.split}.")
        return found

    def source(self, path: str, split: Split) -> str:
        asked = {"format": self.format_.value, "lineage": str(self.lineage).lower(), "split": split.value}
        return f"{path}/export?{urlencode(asked)}"


@app.command()
@command
def create(name: NameArgument, batches: Batches, *, recipe: RecipeOptions, server: ServerOptions) -> None:
    """Create the next version of a data set from the judged answers of batches."""
    body = {"name": name, "batch_ids": batches} | recipe.asked()
    server.show(server.ask(lambda gateway: gateway.ask("POST", DATASETS, body)), Dataset, _describe)


@app.command("list")
@command
def list_datasets(*, server: ServerOptions) -> None:
    """List your data sets by name, the newest version first."""
    answer = server.ask(lambda gateway: gateway.ask("GET", DATASETS))
    server.show(answer, DatasetList, lambda found: _show(found.data))


@app.command()
@command
def show(name: NameArgument, version: VersionOption = "latest", *, server: ServerOptions) -> None:
    """Show the card of a version: counts, judges, models, splits."""
    path = _path(name, version)
    if server.as_json:
        print_json(server.ask(lambda gateway: gateway.ask("GET", path)))
    else:
        out.print(server.ask(lambda gateway: gateway.ask("GET", f"{path}/card")).decode(), markup=False)


@app.command()
@command
def export(name: NameArgument, output: OutputOption, *, options: ExportOptions, server: ServerOptions) -> None:
    """Write a version to a file for training, or to a folder."""
    written, examples = server.ask(partial(_exported, name, output, options))
    rest = examples - written
    left_out = f"; {amount(rest, 'example')} cannot be said in {options.format_}" if rest else ""
    if server.as_json:
        print_json(b'{"path":"%s","lines":%d,"left_out":%d}' % (str(output).encode(), written, rest))
    else:
        err.print(f"{amount(written, 'line')} in {output}{left_out}.", markup=False)


@app.command()
@command
def delete(
    name: NameArgument,
    version: Annotated[str, typer.Option("--version", help="The number of the version to delete.")],
    *,
    server: ServerOptions,
) -> None:
    """Delete a version and its lines. Its number is not used again."""
    answer = server.ask(lambda gateway: gateway.ask("DELETE", _path(name, version)))
    server.show(answer, DatasetDeleted, lambda found: err.print(f"{found.id} is deleted.", markup=False))


async def _exported(name: str, output: Path, options: ExportOptions, gateway: Server) -> tuple[int, int]:
    """Return how many lines were written, and how many examples there are."""
    record = read(await gateway.ask("GET", _path(name, options.version)), Dataset)
    path, splits = _path(name, str(record.version)), options.splits(record)
    sources = {split.value: options.source(path, split) for split in splits}
    card = await gateway.ask("GET", f"{path}/card")
    written = await write_export(gateway, sources, card, output, options.as_)
    return written, sum(_count(record.statistics.splits, split) for split in splits)


def _path(name: str, version: str) -> str:
    return f"{DATASETS}/{quote(name, safe='')}/versions/{quote(version, safe='')}"


def _count(counts: Sequence[Count], name: str) -> int:
    return next((each.count for each in counts if each.name == name), 0)


def _describe(record: Dataset) -> None:
    found = record.statistics
    splits = ", ".join(f"{each.name} {each.count:,}" for each in found.splits)
    held = f"{amount(found.answers, 'answer')} ({found.good:,} good, {found.bad:,} bad), {amount(found.pairs, 'pair')}"
    out.print(f"{record.id}: {held}; {splits}.", markup=False)
    if found.left_out:
        reasons = ", ".join(f"{each.name}: {each.count:,}" for each in found.left_out)
        err.print(f"Left out: {reasons}.", markup=False)


def _show(records: Sequence[Dataset]) -> None:
    if not records:
        out.print("No data sets yet. Make one of judged answers with: vbatch dataset create NAME BATCH")
        return
    table = table_of("data set", "answers", "good", "bad", "pairs", "made", numbers=("answers", "good", "bad", "pairs"))
    for record in records:
        found = record.statistics
        numbers = (found.answers, found.good, found.bad, found.pairs)
        made = datetime.fromtimestamp(record.created_at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        table.add_row(record.id, *(f"{number:,}" for number in numbers), made)
    print_table(table)
