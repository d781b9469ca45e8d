"""The options of `submit` and `results` for tables: which template makes requests from rows, and which table gets the
answers."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import msgspec
import typer

from vbatch.cli.client import reported
from vbatch.cli.exits import Misused
from vbatch.client import Format, RequestTemplate, TemplateError
from vbatch.client.submission import Submission, submission
from vbatch.contracts.endpoints import CHAT_COMPLETIONS

STANDARD_INPUT = Path("-")
STANDARD_INPUT_NAME = "standard input"
ROWS = "Rows of a table"
"""The panel of `--help`."""

Prompt = Annotated[
    str | None,
    typer.Option(
        metavar="TEMPLATE",
        rich_help_panel=ROWS,
        help="FILE is a table, and this becomes the prompt of each row: {column} stands for its text, {{ for a {.",
    ),
]
System = Annotated[
    str | None,
    typer.Option(metavar="TEMPLATE", rich_help_panel=ROWS, help="The system prompt, which may name columns as well."),
]
Model = Annotated[str | None, typer.Option(rich_help_panel=ROWS, help="The model that answers the rows.")]
IdColumn = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN", rich_help_panel=ROWS, help="The column with each row's id; by default rows are numbered."
    ),
]
MaxTokens = Annotated[int | None, typer.Option(min=1, rich_help_panel=ROWS, help="The most tokens of an answer.")]
Param = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE",
        rich_help_panel=ROWS,
        help="A further field of each request, its value in JSON or plain text, such as temperature=0; repeatable.",
    ),
]
TableFormat = Annotated[
    Format | None,
    typer.Option("--format", rich_help_panel=ROWS, help="The format of the table, if its name does not end in it."),
]
Split = Annotated[
    str | None,
    typer.Option(rich_help_panel=ROWS, help="The split of a folder of Hugging Face datasets, such as train."),
]


@dataclass(frozen=True, slots=True)
class RowOptions:
    """What the command line says about rows; None where it says nothing."""

    prompt: Prompt = None
    system: System = None
    model: Model = None
    id_column: IdColumn = None
    max_tokens: MaxTokens = None
    param: Param = None
    format: TableFormat = None
    split: Split = None

    def template(self, endpoint: str | None) -> RequestTemplate | None:
        """Return the template; None if FILE already holds requests. Raises Misused."""
        if self.prompt is None:
            self._must_be_unused()
            return None
        if self.model is None:
            raise Misused("Rows need a model: give --model. `vbatch models` lists those of the server.")
        try:
            return self._template(self.model, self.prompt, endpoint or CHAT_COMPLETIONS)
        except TemplateError as error:
            raise Misused(str(error)) from error

    def _template(self, model: str, prompt: str, endpoint: str) -> RequestTemplate:
        return RequestTemplate(
            model=model,
            prompt=prompt,
            system=self.system,
            id_column=self.id_column,
            endpoint=endpoint,
            max_tokens=self.max_tokens,
            params=dict(map(_param, self.param or [])),
        )

    def _must_be_unused(self) -> None:
        given = {f"--{field.name.replace('_', '-')}": getattr(self, field.name) for field in fields(self)}
        used = [option for option, value in given.items() if value]
        if used:
            raise Misused(f"{used[0]} is for the rows of a table: give --prompt as well, or leave it out.")


@contextmanager
def prepared(file: Path, options: RowOptions, endpoint: str | None) -> Iterator[Submission]:
    """Yield what will be uploaded. Raises Misused, which names the columns and rows at fault."""
    format, template = options.format, options.template(endpoint)
    with _on_disk(file, format or Format.JSONL) as path, _renamed(path, file), reported():
        with submission(path, template, endpoint=endpoint, format=format, split=options.split) as made:
            yield made


@contextmanager
def _renamed(path: Path, file: Path) -> Iterator[None]:
    """Let messages name standard input instead of the file that holds its copy."""
    try:
        yield
    except Misused as error:
        if path == file:
            raise
        raise Misused(str(error).replace(str(path), STANDARD_INPUT_NAME)) from error


@contextmanager
def _on_disk(file: Path, format: Format) -> Iterator[Path]:
    """Yield the file itself, or a copy of standard input: a table is read more than once."""
    if file != STANDARD_INPUT:
        yield file
        return
    with TemporaryDirectory(prefix="vbatch-") as folder:
        path = Path(folder) / f"stdin.{format}"
        with path.open("wb") as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy)
        yield path


def _param(text: str) -> tuple[str, object]:
    name, found, value = text.partition("=")
    if not found or not name:
        raise Misused(f"--param takes NAME=VALUE, not {text!r}.")
    try:
        return name, msgspec.json.decode(value)
    except msgspec.DecodeError:
        return name, value
