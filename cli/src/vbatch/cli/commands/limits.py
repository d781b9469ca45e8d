"""me, quota, limits: who you are, what an owner may have, how many requests a key may send."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Annotated
from urllib.parse import quote

import typer

from vbatch.cli.api_types import Me, Owner, read
from vbatch.cli.client import Server
from vbatch.cli.exits import Misused
from vbatch.cli.option_groups import command
from vbatch.cli.options import out, print_table, table_of
from vbatch.cli.server_options import ServerOptions

NONE = "none"

QUOTA_WORDS: Mapping[str, tuple[str, str | None]] = {
    "unfinished_batches_max": ("unfinished batches", "unfinished_batches"),
    "unanswered_requests_max": ("unanswered requests", "unanswered_requests"),
    "stored_bytes_max": ("stored bytes", "stored_bytes"),
    "tokens_per_day_max": ("tokens of today's batches", "tokens_today"),
    "priority_max": ("highest priority", None),
}
"""Maps a field of a quota to its words and to the matching field of the usage."""
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


@dataclass(frozen=True, slots=True)
class QuotaOptions:
    """In the order of QUOTA_WORDS."""

    batches: Annotated[str | None, _option("--batches", "Unfinished batches.")] = None
    requests: Annotated[str | None, _option("--requests", "Requests without an answer.")] = None
    stored: Annotated[str | None, _option("--bytes", "Bytes of files.")] = None
    tokens: Annotated[str | None, _option("--tokens", "Tokens of the batches created on a day (UTC).")] = None
    priority: Annotated[str | None, _option("--priority", "The highest priority.")] = None

    def changes(self) -> dict[str, int | None]:
        """Return the changed fields. Raises Misused."""
        wanted = zip(QUOTA_WORDS, astuple(self), strict=True)
        return {name: _number(text) for name, text in wanted if text is not None}


@dataclass(frozen=True, slots=True)
class LimitOptions:
    """In the order of LIMIT_WORDS."""

    creates: Annotated[str | None, _option("--creates", "Batches created.")] = None
    uploads: Annotated[str | None, _option("--uploads", "Uploads begun.")] = None
    reads: Annotated[str | None, _option("--reads", "GETs.")] = None
    sent: Annotated[str | None, _option("--bytes", "Bytes sent.")] = None

    def changes(self) -> dict[str, int]:
        """Return the changed fields. Raises Misused."""
        wanted = zip(LIMIT_WORDS, astuple(self), strict=True)
        return {name: _number(text) or 0 for name, text in wanted if text is not None}


@command
def me(*, server: ServerOptions) -> None:
    """Show who you are to the server, what you may do, and how much you use."""
    server.show(server.ask(lambda gateway: gateway.ask("GET", "/v1/me")), Me, _show_me)


@command
def quota(owner: OwnerArgument, *, wanted: QuotaOptions, server: ServerOptions) -> None:
    """Show what an owner may have, or change the limits that you name. `none` removes a limit. Changes apply at
    once."""
    changes, path = wanted.changes(), f"/v1/admin/owners/{quote(owner, safe='')}"

    async def ask(gateway: Server) -> bytes:
        found = await gateway.ask("GET", path)
        return await gateway.ask("POST", path, read(found, Owner).quota | changes) if changes else found

    server.show(server.ask(ask), Owner, _show_owner)


@command
def limits(*, wanted: LimitOptions, server: ServerOptions) -> None:
    """Show how many requests each key may send in a minute, or change the limits that you name, in every gateway at
    once."""
    changes = wanted.changes()
    method = "POST" if changes else "GET"
    answer = server.ask(lambda gateway: gateway.ask(method, "/v1/admin/limits", changes or None))
    server.show(answer, dict, _show_limits)


def _show_me(found: Me) -> None:
    key = f"key {found.key_id}" if found.key_id else "no key"
    out.print(f"{found.owner}, scope {', '.join(found.scopes)} ({key}); server {found.server_version}", markup=False)
    _show_quota(found.quota, found.usage)


def _show_owner(found: Owner) -> None:
    _show_quota(found.quota, found.usage)


def _number(text: str) -> int | None:
    """Return the number; None for no limit. Raises Misused."""
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
