"""Which answers of a batch a page shows: its address in words, and what of it the API is asked for."""

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
"""How an opened answer is shown: part of the address, no question to the API."""
JUMP = "from_line"
"""The first line to be shown, as a form asks for it."""
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
    """A filter that is set: its words, and the names that are taken out of the address to unset it."""

    words: str
    names: tuple[str, ...]


def selection_of(query: Mapping[str, str]) -> dict[str, str]:
    """What of an address selects, sorts and places; the rest of it is dropped."""
    chosen = {name: query[name][:VALUE_CHARS_MAX] for name in (*FILTERS, *PLACES, SHOWN) if query.get(name)}
    first = query.get(JUMP, "")
    is_line = first.isascii() and first.isdigit() and len(first) <= DIGITS_MAX and int(first) > 1
    return chosen | {"after_line": str(int(first) - 1)} if is_line else chosen


def asked(selection: Mapping[str, str]) -> dict[str, str]:
    """What of it the API is asked for."""
    return {name: value for name, value in selection.items() if name != SHOWN}


def exported(selection: Mapping[str, str]) -> dict[str, str]:
    """What of it a file of the selection is asked for: its filters."""
    return {name: value for name, value in selection.items() if name in FILTERS}


def chips(selection: Mapping[str, str]) -> list[Chip]:
    """The filters that are set, in the order of FILTERS."""
    return [_chip(name, selection[name]) for name in FILTERS if name in selection and name != "search_in"]


def _chip(name: str, value: str) -> Chip:
    if name == "contains":
        return Chip(WORDS[name].format(value), ("contains", "search_in", "search_after"))
    if name == "is_json":
        return Chip(JSON_WORDS.get(value, value), (name,))
    if name == "outcome":
        return Chip(OUTCOME_WORDS.get(value, value), (name,))
    return Chip(WORDS[name].format(value), (name,))
