"""One header of a request, for what every request needs: the mapping that starlette builds costs several times as
much."""

from __future__ import annotations

from starlette.types import Scope


def header_in(scope: Scope, name: bytes) -> str | None:
    """Return the first header of this name, which is in lower case, as ASGI has them."""
    for each, value in scope.get("headers", ()):
        if each == name:
            return str(value, "latin-1")
    return None
