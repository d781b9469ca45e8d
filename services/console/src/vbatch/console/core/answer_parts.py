"""The content of an answer or a request that is not running text: tool calls, pictures, vectors, JSON as a tree.
Tolerant: all of it comes from others, so anything of a wrong shape is left out."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

NODES_MAX = 2_000
DEPTH_MAX = 40
VALUE_CHARS_MAX = 2_000
CALLS_MAX = 50
ARGUMENTS_CHARS_MAX = 20_000
PICTURES_MAX = 8
PICTURE_CHARS_MAX = 1 << 20
VECTORS_MAX = 8
NUMBERS_SHOWN = 8
PICTURE_STARTS = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "image/webp": (b"RIFF",),
}
"""The picture formats that contain only pixels; SVG is a document and is not among them."""
MAGIC_CHARS = 24

Json = dict[str, object]


class Shape(StrEnum):
    """How one answer is shown."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"
    RAW = "raw"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """`arguments` are indented if they are JSON."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Vector:
    """An embedding: its dimension, its Euclidean norm, its first numbers."""

    dimension: int
    norm: float
    first: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """A value of a JSON document: its key or index, and either its text or its children. `size` counts the children, of
    which `children` may hold only the beginning."""

    key: str
    kind: str
    text: str = ""
    size: int = 0
    children: tuple[Node, ...] = ()

    @property
    def is_nested(self) -> bool:
        return self.kind in ("object", "array")


def shape_of(name: str | None) -> Shape:
    return Shape(name) if name in tuple(Shape) else Shape.TEXT


def tool_calls_of(body: object) -> tuple[ToolCall, ...]:
    """Return the tool calls of the first choice of an answer."""
    choices = _list(body, "choices")
    message = choices[0].get("message") if choices and isinstance(choices[0], dict) else None
    return tuple(_calls(_list(message, "tool_calls")))


def vectors_of(body: object) -> tuple[Vector, ...]:
    """Return the embeddings of an answer."""
    items = [item.get("embedding") for item in _list(body, "data") if isinstance(item, dict)]
    numbers = [_numbers(item) for item in items[:VECTORS_MAX] if isinstance(item, list)]
    return tuple(_vector(each) for each in numbers if each)


def pictures_of(content: object) -> tuple[str, ...]:
    """Return the pictures that a message carries itself, as `data:` addresses that a page may show; none from
    elsewhere."""
    parts = content if isinstance(content, list) else []
    addresses = [_address(part) for part in parts if isinstance(part, dict)]
    return tuple(address for address in addresses if _is_picture(address))[:PICTURES_MAX]


def tree_of(document: str | bytes) -> Node | None:
    """Return the tree of a JSON object or array; None for anything else. A long one is cut at NODES_MAX values."""
    try:
        decoded = msgspec.json.decode(document)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    if not isinstance(decoded, dict | list):
        return None
    return _Planting().node("", decoded, 0)


@dataclass(slots=True)
class _Planting:
    """Builds a tree; `left` more values may be shown."""

    left: int = NODES_MAX

    def node(self, key: str, value: object, depth: int) -> Node:
        self.left -= 1
        match value:
            case dict():
                items = [(str(name), inside) for name, inside in value.items()]
                return Node(key, "object", size=len(items), children=self._children(items, depth))
            case list():
                items = [(str(index), inside) for index, inside in enumerate(value)]
                return Node(key, "array", size=len(items), children=self._children(items, depth))
            case str():
                return Node(key, "string", value[:VALUE_CHARS_MAX] + ("…" if len(value) > VALUE_CHARS_MAX else ""))
            case _:
                return Node(key, "value", msgspec.json.encode(value).decode())

    def _children(self, items: Sequence[tuple[str, object]], depth: int) -> tuple[Node, ...]:
        return tuple(self._grown(items, depth + 1)) if depth < DEPTH_MAX else ()

    def _grown(self, items: Sequence[tuple[str, object]], depth: int) -> Iterator[Node]:
        for key, value in items:
            if self.left <= 0:
                return
            yield self.node(key[:VALUE_CHARS_MAX], value, depth)


def _calls(calls: Sequence[object]) -> Iterator[ToolCall]:
    for call in calls[:CALLS_MAX]:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            yield ToolCall(str(function.get("name", "?")), _arguments(function.get("arguments")))


def _arguments(value: object) -> str:
    """Return the arguments as the model wrote them, or indented if they are JSON."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    try:
        return msgspec.json.format(text, indent=2)[:ARGUMENTS_CHARS_MAX]
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return text[:ARGUMENTS_CHARS_MAX]


def _numbers(values: Sequence[object]) -> list[float]:
    """Return the values as numbers; empty if one of them is not a number."""
    numbers = [float(value) for value in values if isinstance(value, int | float)]
    return numbers if len(numbers) == len(values) else []


def _vector(numbers: Sequence[float]) -> Vector:
    return Vector(
        len(numbers), math.sqrt(math.fsum(number * number for number in numbers)), (*numbers[:NUMBERS_SHOWN],)
    )


def _address(part: Json) -> str:
    image = part.get("image_url")
    address = image.get("url") if isinstance(image, dict) else image
    return address if isinstance(address, str) else ""


def _is_picture(address: str) -> bool:
    """Whether the kind and the first bytes are those of a picture."""
    head, _, content = address.partition(";base64,")
    starts = PICTURE_STARTS.get(head.removeprefix("data:").lower())
    if starts is None or not head.startswith("data:") or len(address) > PICTURE_CHARS_MAX:
        return False
    try:
        first = base64.b64decode(content[:MAGIC_CHARS], validate=True)
    except (binascii.Error, ValueError):
        return False
    return first.startswith(starts)


def _list(holder: object, name: str) -> list[object]:
    value = holder.get(name) if isinstance(holder, dict) else None
    return value if isinstance(value, list) else []
