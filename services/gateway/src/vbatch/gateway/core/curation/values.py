"""Parses the values in requests about curation: bounded texts, words, numbers, and items of a closed list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from vbatch.contracts.bounds import fits
from vbatch.contracts.limits import WORD_BYTES_MAX
from vbatch.gateway.core.refusals import Reason, Refusal, type_invalid
from vbatch.gateway.core.shapes import integer_between, string

Choice = TypeVar("Choice", bound=str)


def words(value: object, name: str, count_max: int) -> tuple[str, ...]:
    """Return a list of words, each once, in the given order. Raises Refusal."""
    if not isinstance(value, list):
        raise type_invalid(name, "an array", value)
    integer_between(len(value), f"{name}.length", 0, count_max)
    return tuple(dict.fromkeys(word(each, name) for each in value))


def word(value: object, name: str) -> str:
    """Return a short text on one line. Raises Refusal."""
    text = text_within(value, name, WORD_BYTES_MAX)
    if not text.strip() or not text.isprintable():
        raise Refusal(Reason.VALUE_INVALID, f"Invalid '{name}': expected printable characters on one line.", name)
    return text


def text_within(value: object, name: str, bytes_max: int) -> str:
    """Return the text if it is within the limit. Raises Refusal."""
    text = string(value, name)
    if not fits(text, bytes_max):
        raise Refusal(Reason.STRING_TOO_LONG, f"Invalid '{name}': expected at most {bytes_max:,} bytes of UTF-8.", name)
    return text


def number_between(value: object, name: str, least: float, most: float) -> float:
    """Return the number if it is within both bounds. Raises Refusal."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise type_invalid(name, "a number", value)
    if not least <= value <= most:
        words = f"Invalid '{name}': expected a number from {least:g} to {most:g}, but got {value:g} instead."
        raise Refusal(Reason.VALUE_INVALID, words, name)
    return float(value)


def one_of(value: object, supported: Sequence[Choice], name: str) -> Choice:
    """Return the supported value. Raises Refusal."""
    text = string(value, name)
    for each in supported:
        if each == text:
            return each
    quoted = ", ".join(f"'{each}'" for each in supported)
    raise Refusal(Reason.VALUE_INVALID, f"Invalid value: '{text}'. Supported values are: {quoted}.", name)
