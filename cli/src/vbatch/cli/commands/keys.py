"""keys: who may use the server. `init` works on the machine itself; the others ask the server with an admin key."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from vbatch.chassis.settings import file_table
from vbatch.cli.api_types import Key, KeyList
from vbatch.cli.exits import Misused, Refused
from vbatch.cli.open_log import opened_log
from vbatch.cli.option_groups import command
from vbatch.cli.options import err, out, print_table, run, table_of
from vbatch.cli.server_options import ServerOptions
from vbatch.cli.time_spec import later
from vbatch.contracts.access import Scope, is_owner_name
from vbatch.contracts.ids import OwnerId
from vbatch.gateway.core.api_keys import NO_KEYS, ApiKeys, BadKeyFile, read_key_file
from vbatch.gateway.core.key_expiry import NOTICE
from vbatch.gateway.core.keys import KEEP_HOURS_DEFAULT, KEEP_HOURS_MAX, KeyParams
from vbatch.gateway.flows.bootstrap import AdminKeyExists, Bootstrap, TooManyKeys, init_keys
from vbatch.journal.port import Conflict

ENTROPY_BYTES = 32
FILE_VARIABLE = "VBATCH_GATEWAY_API_KEYS_FILE"
KEEP_MESSAGE = "It is shown this once: keep it now."

OwnerArgument = Annotated[str, typer.Argument(metavar="OWNER", help="Who owns what is made with the key.")]
KeyArgument = Annotated[str, typer.Argument(metavar="KEY", help="The key's id, as `keys list` shows it.")]
Name = Annotated[str, typer.Option("--name", help="What the key is for, in your words.")]
Scopes = Annotated[
    list[Scope], typer.Option("--scope", help="read looks; user makes and changes, too; admin rules over all owners.")
]
Expires = Annotated[str | None, typer.Option("--expires", help="How long it lives, such as 90d, or until when.")]
OnlyOwner = Annotated[str | None, typer.Option("--owner", help="Only keys of this owner.")]
KeepHours = Annotated[
    int, typer.Option("--keep-hours", min=0, max=KEEP_HOURS_MAX, help="How long the old key still works.")
]
Why = Annotated[str, typer.Option("--reason", help="Kept in the log.")]
KeyFile = Annotated[
    Path | None,
    typer.Option("--file", envvar=FILE_VARIABLE, help="A key file to import; by default that of the settings."),
]

app = typer.Typer(help="API keys: init, create, list, rotate, revoke.", no_args_is_help=True)


@app.command()
@command
def init(
    owner: Annotated[str, typer.Option("--owner", help="Who owns the key.")] = "admin",
    name: Name = "first admin key",
    file: KeyFile = None,
    again: Annotated[bool, typer.Option("--again", help="Also where an admin key exists: when it is lost.")] = False,
) -> None:
    """Create the first admin key, on the machine of the server, and import the keys of the key file."""
    if not is_owner_name(owner):
        raise typer.BadParameter("1 to 64 of A-Z, a-z, 0-9, '_', '.' and '-'", param_hint="--owner")
    begun = run(_begun(KeyParams(OwnerId(owner), name, (Scope.ADMIN,)), file, is_again=again))
    _show_begun(begun)


def _show_begun(begun: Bootstrap) -> None:
    made = begun.made
    out.print(made.text, markup=False)
    err.print(f"{made.event.key_id} of {made.event.owner}, scope admin. {KEEP_MESSAGE}", markup=False)
    if begun.imported_count:
        err.print(f"{begun.imported_count} keys of the key file work as before; the file no longer counts.")
    err.print("From now on every request needs a key.")


@app.command()
@command
def create(
    owner: OwnerArgument,
    name: Name = "unnamed",
    scope: Scopes = [Scope.USER],  # noqa: B006 - typer copies it
    expires: Expires = None,
    *,
    server: ServerOptions,
) -> None:
    """Create a key and print it, once."""
    body: dict[str, object] = {"owner": owner, "name": name, "scopes": [each.value for each in scope]}
    if expires is not None:
        body["expires_at"] = int(later(expires, datetime.now(UTC)).timestamp())
    server.show(server.ask(lambda gateway: gateway.ask("POST", "/v1/admin/keys", body)), Key, _show_new)


@app.command("list")
@command
def list_keys(owner: OnlyOwner = None, *, server: ServerOptions) -> None:
    """List all keys, the newest first. The keys themselves are stored nowhere; the hint shows how a key ends."""
    query = f"?owner={quote(owner, safe='')}" if owner else ""
    answer = server.ask(lambda gateway: gateway.ask("GET", f"/v1/admin/keys{query}"))
    server.show(answer, KeyList, lambda found: _show(found.data))


@app.command()
@command
def rotate(key: KeyArgument, keep_hours: KeepHours = KEEP_HOURS_DEFAULT, *, server: ServerOptions) -> None:
    """Create a key with the properties of this one. The old key keeps working for some time."""
    path, body = f"/v1/admin/keys/{quote(key, safe='')}/rotate", {"keep_old_for_hours": keep_hours}
    server.show(server.ask(lambda gateway: gateway.ask("POST", path, body)), Key, _show_new)
    if not server.as_json:
        err.print(f"{key} works for {keep_hours} h more.", markup=False)


@app.command()
@command
def revoke(key: KeyArgument, reason: Why = "", *, server: ServerOptions) -> None:
    """End a key. It stops working in every gateway within two seconds."""
    path = f"/v1/admin/keys/{quote(key, safe='')}?reason={quote(reason, safe='')}"
    server.show(server.ask(lambda gateway: gateway.ask("DELETE", path)), Key, _show_revoked)


async def _begun(params: KeyParams, file: Path | None, *, is_again: bool) -> Bootstrap:
    """Create the first admin key and import the keys of the key file. Raises Refused, Misused."""
    now, entropy = datetime.now(UTC), os.urandom(ENTROPY_BYTES)
    async with opened_log(None) as journal:
        try:
            return await init_keys(journal.log, _file_keys(file), params, now=now, entropy=entropy, is_again=is_again)
        except AdminKeyExists as error:
            raise Refused(
                f"There is an admin key already ({error}): make others with `vbatch keys create`. If it is lost, "
                "`vbatch keys init --again` makes another."
            ) from error
        except (Conflict, TooManyKeys) as error:
            raise Refused(f"No key was made: {error}. Try again.") from error


def _file_keys(path: Path | None) -> ApiKeys:
    """Return the keys of the key file. Raises Misused."""
    named = file_table("gateway").get("api_keys_file")
    path = path or (Path(named) if named else None)
    if path is None:
        return NO_KEYS
    try:
        return read_key_file(path.read_text())
    except (OSError, UnicodeDecodeError, BadKeyFile) as error:
        raise Misused(f"The key file {path} cannot be imported: {error}.") from error


def _show_new(made: Key) -> None:
    out.print(made.key, markup=False)
    err.print(f"{made.id} of {made.owner}, scope {', '.join(made.scopes)}. {KEEP_MESSAGE}", markup=False)


def _show_revoked(found: Key) -> None:
    err.print(f"{found.id} of {found.owner} opens nothing any more.", markup=False)


def _show(keys: list[Key]) -> None:
    if not keys:
        out.print("No keys yet. Make the first one on the server's machine with: vbatch keys init")
        return
    table = table_of("key", "owner", "name", "scopes", "ends with", "state", "made", "last used")
    for key in keys:
        moments = (_day(key.created_at), _day(key.last_used_at))
        table.add_row(key.id, key.owner, key.name, ", ".join(key.scopes), key.hint, _state(key), *moments)
    print_table(table)
    for key in keys:
        if _expires_soon(key, datetime.now(UTC)):
            err.print(f"{key.id} of {key.owner} expires soon: vbatch keys rotate {key.id}", markup=False)


def _expires_soon(key: Key, now: datetime) -> bool:
    """Whether the key expires within the notice and has no successor; as `key_expiry` of the gateway defines it."""
    if key.expires_at is None or key.revoked_at is not None or key.replaced_by is not None:
        return False
    is_temporary = key.expires_at - key.created_at <= NOTICE.total_seconds()
    return not is_temporary and 0 < key.expires_at - now.timestamp() < NOTICE.total_seconds()


def _state(key: Key) -> str:
    now = datetime.now(UTC).timestamp()
    if key.revoked_at is not None:
        return "[red]revoked[/red]"
    if key.expires_at is None:
        return "[green]valid[/green]"
    return f"until {_day(key.expires_at)}" if now < key.expires_at else "[red]expired[/red]"


def _day(seconds: int | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
