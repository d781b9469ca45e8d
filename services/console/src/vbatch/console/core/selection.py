"""Which answers of a batch a page shows: the fields of its address, and which of them are sent to the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

FILTERS = (
    "contains",
    "search_in",
    "outcome",
    "custom_id",
    "error_code",
    "status_code",
    "model",
    "finish_reason",
    "is_json",
    "chars_min",
    "chars_max",
)
PLACES = ("order", "after_line", "search_after")
SHOWN = "as"
"""How an opened answer is shown; it is part of the address, but is not sent to the API."""
JUMP = "from_line"
"""The first line to show, as a form sends it."""
VALUE_CHARS_MAX = 256
DIGITS_MAX = 9

ORDERS = (
    ("", "in input order"),
    ("-line", "last line first"),
    ("-seconds", "slowest first"),
    ("seconds", "fastest first"),
    ("-output_tokens", "most tokens first"),
    ("output_tokens", "fewest tokens first"),
    ("-text_chars", "longest first"),
    ("text_chars", "shortest first"),
)
FINISH_REASONS = ("stop", "length", "tool_calls", "content_filter")
WORDS = {
    "contains": "holds “{}”",
    "custom_id": "custom_id holds “{}”",
    "error_code": "{}",
    "status_code": "HTTP {}",
    "model": "by {}",
    "finish_reason": "ended by {}",
    "chars_min": "{} characters or more",
    "chars_max": "{} characters or fewer",
}
JSON_WORDS = {"true": "valid JSON", "false": "no JSON"}
OUTCOME_WORDS = {"succeeded": "succeeded", "failed": "failed"}


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter that is set: its text, and the names to remove from the address to unset it."""

    words: str
    names: tuple[str, ...]


def selection_of(query: Mapping[str, str]) -> dict[str, str]:
    """Return the fields of an address that select, sort and place; the others are dropped."""
    chosen = {name: query[name][:VALUE_CHARS_MAX] for name in (*FILTERS, *PLACES, SHOWN) if query.get(name)}
    first = query.get(JUMP, "")
    is_line = first.isascii() and first.isdigit() and len(first) <= DIGITS_MAX and int(first) > 1
    return chosen | {"after_line": str(int(first) - 1)} if is_line else chosen


def asked(selection: Mapping[str, str]) -> dict[str, str]:
    """Return the fields that are sent to the API."""
    return {name: value for name, value in selection.items() if name != SHOWN}


def exported(selection: Mapping[str, str]) -> dict[str, str]:
    """Return the fields that are sent to export the selection as a file: its filters."""
    return {name: value for name, value in selection.items() if name in FILTERS}


def chips(selection: Mapping[str, str]) -> list[Chip]:
    """Return the filters that are set, in the order of FILTERS."""
    return [_chip(name, selection[name]) for name in FILTERS if name in selection and name != "search_in"]


def _chip(name: str, value: str) -> Chip:
    if name == "contains":
        return Chip(WORDS[name].format(value), ("contains", "search_in", "search_after"))
    if name == "is_json":
        return Chip(JSON_WORDS.get(value, value), (name,))
    if name == "outcome":
        return Chip(OUTCOME_WORDS.get(value, value), (name,))
    return Chip(WORDS[name].format(value), (name,))
