"""The path of a request as routes match it: a slash that the client wrote as `%2F` is part of a name, not a separator.

ASGI passes on the decoded path, where both look the same; the official client percent-encodes the ids in its URLs.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import unquote

from pydantic import AfterValidator


def routed_path(raw_path: bytes) -> str:
    """Decode each segment, except its slashes and percent signs, so that `%252F` remains a different name."""
    if b"%" not in raw_path:
        return raw_path.decode("latin-1")
    return "/".join(unquote(segment).replace("%", "%25").replace("/", "%2F") for segment in _segments(raw_path))


def named(part: str) -> str:
    """Return the name as the client meant it, with the characters that `routed_path` kept encoded."""
    return part.replace("%2F", "/").replace("%25", "%")


def _segments(raw_path: bytes) -> list[str]:
    return raw_path.decode("latin-1").split("/")


Named = Annotated[str, AfterValidator(named)]
"""A name in a path."""
