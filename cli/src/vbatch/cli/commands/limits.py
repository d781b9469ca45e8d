"""me, quota, limits: who one is, what an owner may have, how often a key may ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import quote

import msgspec
import typer

from vbatch.cli.api_types import Me, Owner, read
from vbatch.cli.client import connect
from vbatch.cli.exits import Misused
from vbatch.cli.options import ApiKey, AsJson, Url, out, print_json, print_table, run, server_url, table_of

NONE = "none"

QUOTA_WORDS: Mapping[str, tuple[str, str | None]] = {
    "unfinished_batches_max": ("unfinished batches", "unfinished_batches"),
    "unanswered_requests_max": ("unanswered requests", "unanswered_requests"),
    "stored_bytes_max": ("stored bytes", "stored_bytes"),
    "tokens_per_day_max": ("tokens of today's batches", "tokens_today"),
    "priority_max": ("highest priority", None),
}
"""Field of a quota → its words, and the field of the usage beside it."""
LIMIT_WORDS = {
    "creates_per_minute_max": "batches created",
    "uploads_per_minute_max": "uploads begun",
    "reads_per_minute_max": "reads",
    "bytes_per_minute_max": "bytes sent",
}

OwnerArgument = Annotated[str, typer.Argument(metavar="OWNER", help="Whose quota.")]


def _option(name: str, words: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(name, metavar="N|none", help=words)
    return option


def me(url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Who you are to the server, what you may, and what you have of it."""

    async def ask() -> None:
        async with connect(server_url(url), api_key) as server:
            answer = await server.ask("GET", "/v1/me")
        if as_json:
            print_json(answer)
            return
        found = read(answer, Me)
        key = f"key {found.key_id}" if found.key_id else "no key"
        out.print(
            f"{found.owner}, scope {', '.join(found.scopes)} ({key}); server {found.server_version}", markup=False
        )
        _show_quota(found.quota, found.usage)

    run(ask())


def quota(
    owner: OwnerArgument,
    batches: Annotated[str | None, _option("--batches", "Unfinished batches.")] = None,
    requests: Annotated[str | None, _option("--requests", "Requests without an answer.")] = None,
    stored: Annotated[str | None, _option("--bytes", "Bytes of files.")] = None,
    tokens: Annotated[str | None, _option("--tokens", "Tokens of the batches created on a day (UTC).")] = None,
    priority: Annotated[str | None, _option("--priority", "The highest priority.")] = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show what an owner may have, or change what is named; `none` takes a limit away. It counts at once."""

    async def ask() -> None:
        path = f"/v1/admin/owners/{quote(owner, safe='')}"
        wanted = dict(zip(QUOTA_WORDS, (batches, requests, stored, tokens, priority), strict=True))
        changes = {name: _number(text) for name, text in wanted.items() if text is not None}
        async with connect(server_url(url), api_key) as server:
            answer = await server.ask("GET", path)
            if changes:
                answer = await server.ask("POST", path, read(answer, Owner).quota | changes)
        if as_json:
            print_json(answer)
            return
        found = read(answer, Owner)
        _show_quota(found.quota, found.usage)

    run(ask())


def limits(
    creates: Annotated[str | None, _option("--creates", "Batches created.")] = None,
    uploads: Annotated[str | None, _option("--uploads", "Uploads begun.")] = None,
    reads: Annotated[str | None, _option("--reads", "GETs.")] = None,
    sent: Annotated[str | None, _option("--bytes", "Bytes sent.")] = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show how often each key may ask in a minute, or change what is named, in every gateway at once."""

    async def ask() -> None:
        wanted = dict(zip(LIMIT_WORDS, (creates, uploads, reads, sent), strict=True))
        changes = {name: _number(text) or 0 for name, text in wanted.items() if text is not None}
        async with connect(server_url(url), api_key) as server:
            method = "POST" if changes else "GET"
            answer = await server.ask(method, "/v1/admin/limits", changes or None)
        if as_json:
            print_json(answer)
        else:
            _show_limits(msgspec.json.decode(answer))

    run(ask())


def _number(text: str) -> int | None:
    """Raises Misused."""
    if text == NONE:
        return None
    try:
        return int(text)
    except ValueError as error:
        raise Misused(f"{text!r} is neither a whole number nor none.") from error


def _show_quota(found: Mapping[str, int | None], usage: Mapping[str, int] | None) -> None:
    table = table_of("", "has", "may have", numbers=("has", "may have"))
    for name, (words, used) in QUOTA_WORDS.items():
        most, now = found.get(name), (usage or {}).get(used or "")
        table.add_row(words, "" if now is None else f"{now:,}", "any" if most is None else f"{most:,}")
    print_table(table)


def _show_limits(found: Mapping[str, int | list[str]]) -> None:
    pinned = found["pinned"]
    assert isinstance(pinned, list)
    table = table_of("a minute, of each key", "at most", "", numbers=("at most",))
    for name, words in LIMIT_WORDS.items():
        most = found[name]
        note = f"set by VBATCH_GATEWAY_{name.upper()}" if name in pinned else ""
        table.add_row(words, f"{most:,}" if most else "any", note)
    print_table(table)
