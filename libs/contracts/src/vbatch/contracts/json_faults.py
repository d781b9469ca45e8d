"""Describes what is wrong with invalid JSON so that its author finds the place, and repairs the one flaw that can be
repaired: half of a surrogate pair (ADR 16)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import NoReturn

_ESCAPES = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair
    rb"|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|\\.",
    re.DOTALL,
)
REPLACEMENT = rb"\ufffd"
"""The replacement is as long as the escape that it replaces."""
_STRING_OR_CONSTANT = re.compile(r'"(?:[^"\\]|\\.)*"?|(?P<constant>NaN|-?Infinity)', re.DOTALL)
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"?|(?P<bracket>[\[{\]}])', re.DOTALL)
_BYTE = re.compile(r"\(byte (\d+)\)")


def with_whole_characters(raw: bytes) -> bytes:
    r"""Return the document with U+FFFD in place of every escape that is half of a surrogate pair. JavaScript writes
    such an escape when it cuts an emoji (`\ud83d`). No byte moves."""
    return _ESCAPES.sub(lambda found: found[0] if found["half"] is None else REPLACEMENT, raw)


def loads(text: str | bytes, refuse_constant: Callable[[str], object] | None = None) -> object:
    """Decode as the standard library does, half surrogate pairs included, but leave integers as text: Python refuses
    to convert one of more than 4,300 digits, with an error that is not about JSON. Raises JSONDecodeError and
    RecursionError."""
    return json.loads(text, parse_int=str, parse_constant=refuse_constant)


def json_fault(raw: bytes, complaint: Exception) -> str:
    """Return one sentence on the first fault, with its place in characters from 1. `complaint` is the decoder's error
    for `raw`; it is used only if nothing better is found."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        column = len(raw[: error.start].decode()) + 1
        return f"At column {column}: byte 0x{raw[error.start]:02x} is not UTF-8; save the file as UTF-8."
    if isinstance(complaint, RecursionError):
        return _nesting_fault(text)
    if (half := next((found for found in _ESCAPES.finditer(raw) if found["half"]), None)) is not None:
        column = len(raw[: half.start()].decode()) + 1
        return f"At column {column}: {half[0].decode()} is half of a surrogate pair, as when an emoji was cut in two."
    return _syntax_fault(text, complaint)


class _Constant(Exception):
    """Raised for a number that JSON does not allow."""


def _syntax_fault(text: str, complaint: Exception) -> str:
    try:
        loads(text, _refuse)
    except _Constant:
        return _constant_fault(text)
    except json.JSONDecodeError as error:
        return _decoder_fault(text, error)
    except RecursionError:
        return _nesting_fault(text)
    return _complaint(text, str(complaint))


def _refuse(name: str) -> NoReturn:
    raise _Constant(name)


def _constant_fault(text: str) -> str:
    found = next(match for match in _STRING_OR_CONSTANT.finditer(text) if match["constant"])
    return f"At column {found.start() + 1}: {found[0]} is not JSON; write null or a number."


def _decoder_fault(text: str, error: json.JSONDecodeError) -> str:
    column = error.pos + 1
    if error.msg.startswith("Invalid control character"):
        return (
            f"At column {column}: the control character U+{ord(text[error.pos]):04X} must be escaped inside a string, "
            f"as \\u{ord(text[error.pos]):04x}."
        )
    if error.msg.startswith("Unexpected UTF-8 BOM"):
        return f"At column {column}: a byte order mark (U+FEFF) is not JSON."
    what = error.msg.removesuffix(" at")
    return f"At column {column}: {what[0].lower()}{what[1:]}."


def _nesting_fault(text: str) -> str:
    """Return a sentence that names the deepest place; the depth that is too deep depends on the reader."""
    depth = deepest = column = 0
    for found in _STRING_OR_BRACKET.finditer(text):
        if found["bracket"] is None:
            continue
        depth += 1 if found["bracket"] in "[{" else -1
        if depth > deepest:
            deepest, column = depth, found.start() + 1
    return f"At column {column}: objects and arrays are nested {deepest} deep, which is more than can be read."


def _complaint(text: str, words: str) -> str:
    """Return the decoder's complaint with its byte offset converted to a character position."""
    found = _BYTE.search(words)
    if found is None:
        return f"{words}."
    column = len(text.encode()[: int(found[1])].decode(errors="ignore")) + 1
    return f"At column {column}: {_BYTE.sub('', words).removeprefix('JSON is malformed: ').strip()}."
