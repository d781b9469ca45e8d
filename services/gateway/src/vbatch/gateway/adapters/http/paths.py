"""The path of a request as routes match it: a slash that the client wrote as `%2F` belongs to a name, it parts none.

ASGI hands on the path decoded, where both look the same; the official client percent-encodes the ids it puts into URLs.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import unquote

from pydantic import AfterValidator


def routed_path(raw_path: bytes) -> str:
    """Each segment decoded, but for its slashes, and for percent signs, so that `%252F` stays another name."""
    return "/".join(unquote(segment).replace("%", "%25").replace("/", "%2F") for segment in _segments(raw_path))


def named(part: str) -> str:
    """What `routed_path` kept apart, as the client meant it."""
    return part.replace("%2F", "/").replace("%25", "%")


def _segments(raw_path: bytes) -> list[str]:
    return raw_path.decode("latin-1").split("/")


Named = Annotated[str, AfterValidator(named)]
"""A name in a path."""
