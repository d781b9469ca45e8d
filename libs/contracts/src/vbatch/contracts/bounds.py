"""The bound of a field: what it means, how a text is cut to it, and how large an event can be, judging by its types
alone."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import EnumType
from functools import lru_cache
from operator import is_
from typing import Annotated, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from vbatch.contracts.ids import ID_BYTES_MAX

ESCAPED_BYTES_MAX = 6
"""JSON writes a control character as `\\u0000`."""
INTEGER_BYTES_MAX, FLOAT_BYTES_MAX, TIME_BYTES_MAX = 20, 24, 34
CUT_MARK = "… [cut, {bytes} bytes]"
CUT_MARK_BYTES_MAX = 40

S = TypeVar("S", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Name:
    """A string that is never changed. It has at most this many bytes in UTF-8."""

    bytes_max: int


@dataclass(frozen=True, slots=True)
class Text:
    """A string for people. It is cut to this many bytes in UTF-8 when it is encoded."""

    bytes_max: int


@dataclass(frozen=True, slots=True)
class Items:
    """A list or a mapping with at most this many entries."""

    count_max: int


@dataclass(frozen=True, slots=True)
class Json:
    """A value whose JSON has at most this many bytes, whatever it contains."""

    bytes_max: int


class Unbounded(TypeError):
    """Raised for a field that could hold any number of bytes. The text names the field."""


def cut(text: str, bytes_max: int) -> str:
    """Return the text, or its beginning up to a whole character and a mark that says how long it was.

    The result has at most `bytes_max` bytes in UTF-8, of which the mark takes up to CUT_MARK_BYTES_MAX.
    """
    if 4 * len(text) <= bytes_max:
        return text
    encoded = text.encode(errors="replace")
    if len(encoded) <= bytes_max:
        return text
    kept = encoded[: max(0, bytes_max - CUT_MARK_BYTES_MAX)].decode(errors="ignore")
    return kept + CUT_MARK.format(bytes=len(encoded))


def fits(text: str, bytes_max: int) -> bool:
    """Return whether the text has at most `bytes_max` bytes in UTF-8; cheap for short ASCII."""
    return len(text) <= bytes_max and (text.isascii() or len(text.encode(errors="replace")) <= bytes_max)


def within_bounds(value: S) -> S:
    """Return the value with every text cut to its bound, including texts inside structs and lists of structs."""
    changes = {}
    for name, bound in _cuttable(type(value)):
        before = getattr(value, name)
        if before is None:
            continue  # the most common case: an outcome without an error
        after = _cut_value(before, bound)
        if after is not before:
            changes[name] = after
    return msgspec.structs.replace(value, **changes) if changes else value


def json_bytes_max(kind: object) -> int:
    """Return the most bytes that the JSON of this type can have, with all fields at their bounds. Raises Unbounded."""
    shape = _shape(kind)
    if shape.bound is not None and isinstance(shape.bound, Json):
        return shape.bound.bytes_max
    if isinstance(shape.bound, Name | Text):
        return shape.bound.bytes_max * ESCAPED_BYTES_MAX + 2
    if isinstance(shape.bound, Items):
        return 2 + shape.bound.count_max * (sum(json_bytes_max(each) + 1 for each in shape.parts))
    if shape.parts:
        return max(map(json_bytes_max, shape.parts))
    return _plain_bytes_max(shape.kind)


class Shape(NamedTuple):
    """A type broken down: its bound, if it names one, and the types of its options or entries."""

    kind: object
    bound: Name | Text | Items | Json | None
    parts: tuple[object, ...]


def _shape(kind: object) -> Shape:
    bound = None
    if get_origin(kind) is Annotated:
        kind, *notes = get_args(kind)
        bound = next((note for note in notes if isinstance(note, Name | Text | Items | Json)), None)
    if get_origin(kind) in (Union, types.UnionType):
        return Shape(kind, bound, get_args(kind))
    if get_origin(kind) in (tuple, dict) and isinstance(bound, Items):
        return Shape(kind, bound, tuple(each for each in get_args(kind) if each is not Ellipsis))
    return Shape(kind, bound, ())


def _plain_bytes_max(kind: object) -> int:
    if kind in ID_BYTES_MAX:
        return ID_BYTES_MAX[kind] * ESCAPED_BYTES_MAX + 2
    if isinstance(kind, EnumType):
        return max(len(str(member.value)) for member in kind) + 2  # type: ignore[var-annotated]  # members are strings
    known = {bool: 5, int: INTEGER_BYTES_MAX, float: FLOAT_BYTES_MAX, datetime: TIME_BYTES_MAX, types.NoneType: 4}
    if kind in known:
        return known[kind]
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _struct_bytes_max(kind)
    raise Unbounded(f"{kind} has no bound in bytes")


@lru_cache(maxsize=64)
def _struct_bytes_max(kind: type[msgspec.Struct]) -> int:
    size = 2
    for name, hint in hints_of(kind).items():
        try:
            size += len(name) + 4 + json_bytes_max(hint)
        except Unbounded as error:
            raise Unbounded(f"{kind.__name__}.{name}: {error}") from error
    return size


@lru_cache(maxsize=64)
def hints_of(kind: type[msgspec.Struct]) -> Mapping[str, object]:
    """Return the types of the fields, with their bounds."""
    hints = get_type_hints(kind, include_extras=True)
    return {name: hints[name] for name in kind.__struct_fields__}


@lru_cache(maxsize=64)
def _cuttable(kind: type[msgspec.Struct]) -> Sequence[tuple[str, int | None]]:
    """Return the fields that are or contain texts. A field that is a text itself comes with its bound."""
    found = [(name, *_holds_text(hint)) for name, hint in hints_of(kind).items()]
    return [(name, bound) for name, holds, bound in found if holds]


def _holds_text(hint: object) -> tuple[bool, int | None]:
    shape = _shape(hint)
    if isinstance(shape.bound, Text):
        return True, shape.bound.bytes_max
    within = [hint, *shape.parts, *_entries(shape.kind)]
    structs = [each for each in within if isinstance(each, type) and issubclass(each, msgspec.Struct)]
    return any(_cuttable(each) for each in structs), None


def _entries(kind: object) -> tuple[object, ...]:
    return get_args(kind) if get_origin(kind) in (tuple, Union, types.UnionType) else ()


def _cut_value(value: object, bound: int | None) -> object:
    match value:
        case str() if bound is not None:
            return cut(value, bound)
        case tuple():
            entries = tuple([within_bounds(each) for each in value])
            return value if all(map(is_, entries, value)) else entries
        case msgspec.Struct():
            return within_bounds(value)
        case _:
            return value
