"""What a page of administrators shows or does, as a command, as curl and as Python; never with a key."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping

from vbatch.console.core.snippets import Snippet

KEY_HEADER = '-H "Authorization: Bearer $OPENAI_API_KEY"'


def route_snippets(
    url: str, method: str, path: str, command: str, body: Mapping[str, object] | None = None
) -> list[Snippet]:
    """Return one API request in three languages; `command` is empty if there is none."""
    vbatch = [Snippet("vbatch", command)] if command else []
    return [
        *vbatch,
        Snippet("curl", _curl(url, method, path, body)),
        Snippet("Python", _python(url, method, path, body)),
    ]


def _curl(url: str, method: str, path: str, body: Mapping[str, object] | None) -> str:
    verb = "" if method == "GET" or (method == "POST" and body is not None) else f"-X {method} "
    sent = f" -d {shlex.quote(json.dumps(body))}" if body is not None else ""
    return f"curl {verb}{shlex.quote(url + path)} {KEY_HEADER}{sent}"


def _python(url: str, method: str, path: str, body: Mapping[str, object] | None) -> str:
    sent = f", json={body!r}" if body is not None else ""
    return (
        "import os, httpx\n\n"
        'headers = {"Authorization": f"Bearer {os.environ[\'OPENAI_API_KEY\']}"}\n'
        f'answer = httpx.request("{method}", "{url}{path}", headers=headers{sent})\n'
        "print(answer.raise_for_status().json())"
    )
