"""The text of a value of a row: text itself, numbers and dates as JSON and ISO 8601 write them, lists as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from numbers import Integral, Real

import msgspec

Row = Mapping[str, object]
"""One row: its columns, in their order."""


class NotText(ValueError):
    """The value has no text. The message says why."""


def text_of(value: object) -> str:
    """Return the text of a value. Raises NotText for null, NaN, bytes, and objects that JSON does not support."""
    match value:
        case str():
            return whole(value)
        case None:
            raise NotText("is null")
        case bool():
            return "true" if value else "false"
        case Integral():
            return str(int(value))
        case Decimal():
            return str(value)
        case Real():
            return _text_of_number(float(value))
        case datetime() | date() | time():
            return value.isoformat()
        case bytes() | bytearray() | memoryview():
            raise NotText("holds bytes, not text")
        case _:
            plain = _plain(value)
            return plain if isinstance(plain, str) else json_of(plain).decode()


def whole(text: str) -> str:
    """Return the same text with U+FFFD for halves of surrogate pairs, which UTF-8 cannot write; two halves that belong
    together become their character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def json_of(value: object) -> bytes:
    """Return compact JSON of values in which every string is well formed. Raises NotText for objects that JSON does not
    support."""
    try:
        return msgspec.json.encode(_whole_inside(_plain(value)))
    except (TypeError, ValueError, RecursionError) as error:
        raise NotText(f"cannot be written as JSON ({error})") from error


def _plain(value: object) -> object:
    """Return the value in types that JSON supports: times and ids as text, arrays of numpy as lists. Raises NotText."""
    try:
        return msgspec.to_builtins(value, builtin_types=(), str_keys=True, enc_hook=_listed)
    except (TypeError, ValueError, RecursionError) as error:
        raise NotText(f"cannot be written as JSON ({error})") from error


def _listed(value: object) -> object:
    tolist = getattr(value, "tolist", None)
    if tolist is None:
        raise TypeError(f"{type(value).__name__} has no JSON")
    return tolist()


def _text_of_number(number: float) -> str:
    if math.isnan(number):
        raise NotText("is not a number (NaN)")
    return repr(number)


def _whole_inside(value: object) -> object:
    match value:
        case str():
            return whole(value)
        case Mapping():
            return {whole(str(key)): _whole_inside(each) for key, each in value.items()}
        case list() | tuple():
            return [_whole_inside(each) for each in value]
        case _:
            return value
