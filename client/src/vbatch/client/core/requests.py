"""Turns a row into a request line of a batch input file: its `custom_id` comes from a column or its number, its body
from a template. If something is wrong with a row, RowFault names the row."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import msgspec

from vbatch.client.core.templates import ESCAPE_ADVICE, Template, TemplateError, parse_template
from vbatch.client.core.values import NotText, Row, json_of, text_of, whole
from vbatch.contracts.endpoints import CHAT_COMPLETIONS, COMPLETIONS, EMBEDDINGS, RESPONSES
from vbatch.contracts.limits import CUSTOM_ID_BYTES_MAX

COLUMNS_NAMED_MAX = 20
NAME_CHARS_MAX = 80
ID_COLUMN_KEY = "id_column"
"""The metadata key of a batch under which its id column is kept, so that its answers can be joined without naming
it."""
BODY_FIELDS = frozenset({"model", "messages", "prompt", "input", "instructions", "stream"})
"""The fields that `params` cannot set."""


class RowFault(ValueError):
    """What is wrong with one row, without its number."""


@dataclass(frozen=True, slots=True)
class RowIds:
    """How a row gets its `custom_id`: from this column, or, without one, from its number, as `row-1`."""

    column: str | None = None

    def of(self, row: Row, number: int) -> str:
        """Return the id. Raises RowFault if it is missing, empty, not text, or too long."""
        if self.column is None:
            return f"row-{number}"
        custom_id = _text(row, self.column, "id")
        if not custom_id:
            raise RowFault(f"the id is missing: {_quoted(self.column)} is empty")
        if len(custom_id.encode()) > CUSTOM_ID_BYTES_MAX:
            raise RowFault(f"the id is longer than {CUSTOM_ID_BYTES_MAX:,} bytes")
        return custom_id


@dataclass(frozen=True, kw_only=True)
class RequestTemplate:
    """How each row of a table becomes a request.

    `prompt` and `system` are templates over the columns. `params` are further fields of the body, such as
    `temperature`. Raises TemplateError when it is created from values that no request can have.
    """

    model: str
    prompt: str
    system: str | None = None
    id_column: str | None = None
    endpoint: str = CHAT_COMPLETIONS
    max_tokens: int | None = None
    params: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.endpoint not in BODIES:
            raise TemplateError(f"A template makes requests for {', '.join(BODIES)}, not for {self.endpoint}.")
        if self.system is not None and self.endpoint not in (CHAT_COMPLETIONS, RESPONSES):
            raise TemplateError(f"{self.endpoint} has no system prompt; write it into the prompt.")
        if self.max_tokens is not None and self.endpoint == EMBEDDINGS:
            raise TemplateError(f"{EMBEDDINGS} makes no tokens, so there is no max_tokens.")
        if taken := BODY_FIELDS.intersection(self.params):
            raise TemplateError(f"A parameter cannot set {_listed(sorted(taken))}.")
        _ = self._prompt, self._system, self._params

    @property
    def ids(self) -> RowIds:
        return RowIds(self.id_column)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that a row must have, each once."""
        id_columns = (self.id_column,) if self.id_column is not None else ()
        return tuple(dict.fromkeys((*id_columns, *self._system.columns, *self._prompt.columns)))

    def check_columns(self, available: Sequence[str]) -> None:
        """Check that the columns exist. Raises TemplateError, which names the missing columns and the available
        ones."""
        missing = [column for column in self.columns if column not in available]
        if not missing:
            return
        there = f"It has: {_listed(available)}." if available else "It has no columns."
        advice = f" {ESCAPE_ADVICE}" if any(not column.isidentifier() for column in missing) else ""
        noun = "column" if len(missing) == 1 else "columns"
        raise TemplateError(f"The input has no {noun} {_listed(missing)}. {there}{advice}")

    def line(self, row: Row, custom_id: str) -> bytes:
        """Return one line of a batch input file, which ends in a newline. Raises RowFault."""
        system = _filled(self._system, row) if self.system is not None else None
        body = {"model": whole(self.model)} | BODIES[self.endpoint](_filled(self._prompt, row), system, self.max_tokens)
        request = {"custom_id": custom_id, "method": "POST", "url": self.endpoint, "body": body | self._params}
        return msgspec.json.encode(request) + b"\n"

    @cached_property
    def _prompt(self) -> Template:
        return parse_template(whole(self.prompt))

    @cached_property
    def _system(self) -> Template:
        return parse_template(whole(self.system or ""))

    @cached_property
    def _params(self) -> dict[str, msgspec.Raw]:
        try:
            return {whole(name): msgspec.Raw(json_of(value)) for name, value in self.params.items()}
        except NotText as error:
            raise TemplateError(f"A parameter {error}.") from error


def _chat(prompt: str, system: str | None, max_tokens: int | None) -> dict[str, object]:
    user = {"role": "user", "content": prompt}
    messages = [user] if system is None else [{"role": "system", "content": system}, user]
    return {"messages": messages} | _bounded("max_tokens", max_tokens)


def _completion(prompt: str, system: str | None, max_tokens: int | None) -> dict[str, object]:
    return {"prompt": prompt} | _bounded("max_tokens", max_tokens)


def _embedding(prompt: str, system: str | None, max_tokens: int | None) -> dict[str, object]:
    return {"input": prompt}


def _response(prompt: str, system: str | None, max_tokens: int | None) -> dict[str, object]:
    instructions = {} if system is None else {"instructions": system}
    return {"input": prompt} | instructions | _bounded("max_output_tokens", max_tokens)


def _bounded(name: str, max_tokens: int | None) -> dict[str, object]:
    return {} if max_tokens is None else {name: max_tokens}


BODIES: Mapping[str, Callable[[str, str | None, int | None], dict[str, object]]] = {
    CHAT_COMPLETIONS: _chat,
    COMPLETIONS: _completion,
    EMBEDDINGS: _embedding,
    RESPONSES: _response,
}
"""The body of a request for each endpoint, from the prompt, the system prompt and the limit of tokens."""


def _filled(template: Template, row: Row) -> str:
    return template.fill([_text(row, column, "column") for column in template.columns])


def _text(row: Row, column: str, what: str) -> str:
    if column not in row:
        raise RowFault(f"the {what} is missing: there is no {_quoted(column)}; the row has {_listed(tuple(row))}")
    try:
        return text_of(row[column])
    except NotText as error:
        missing = "the id is missing: " if what == "id" and row[column] is None else ""
        raise RowFault(f"{missing}{_quoted(column)} {error}") from error


def _listed(columns: Collection[str]) -> str:
    shown = [_quoted(column) for column in list(columns)[:COLUMNS_NAMED_MAX]]
    more = f" and {len(columns) - len(shown)} more" if len(columns) > len(shown) else ""
    return ", ".join(shown) + more if shown else "no columns"


def _quoted(column: str) -> str:
    return repr(column if len(column) <= NAME_CHARS_MAX else f"{column[:NAME_CHARS_MAX]}...")
