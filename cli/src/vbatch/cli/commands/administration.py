"""settings, support-bundle: what the server runs with, and a bundle of files for remote support."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from vbatch.cli.exits import Misused
from vbatch.cli.option_groups import command
from vbatch.cli.options import ApiKey, Url, err, out, print_table, table_of
from vbatch.cli.server_options import ServerOptions

ServiceOption = Annotated[str | None, typer.Option("--service", help="Only this service.")]
ChangedOption = Annotated[bool, typer.Option("--set", help="Only settings that have not their default.")]
ChangesOption = Annotated[bool, typer.Option("--changes", help="What was changed while the server ran, and by whom.")]
OutputOption = Annotated[Path | None, typer.Option("--output", "-o", help="The file to write; by default one here.")]


class Setting(msgspec.Struct, frozen=True):
    variable: str
    value: str
    default: str
    source: str
    effect: str


class ServiceSettings(msgspec.Struct, frozen=True):
    service: str
    settings: list[Setting]
    trouble: str | None


class SettingsList(msgspec.Struct, frozen=True):
    data: list[ServiceSettings]


class FieldChange(msgspec.Struct, frozen=True):
    name: str
    before: int | None
    after: int | None


class Change(msgspec.Struct, frozen=True):
    id: int
    at: int
    by: str
    action: str
    target: str
    fields: list[FieldChange]


class ChangeList(msgspec.Struct, frozen=True):
    data: list[Change]


@command
def settings(
    service: ServiceOption = None,
    only_set: ChangedOption = False,
    changes: ChangesOption = False,
    *,
    server: ServerOptions,
) -> None:
    """Show the settings of each service and where each value comes from, or what was changed while the server ran."""
    path = "/v1/admin/changes" if changes else "/v1/admin/settings"
    answer = server.ask(lambda gateway: gateway.ask("GET", path))
    if changes:
        server.show(answer, ChangeList, lambda found: _show_changes(found.data))
    else:
        server.show(answer, SettingsList, lambda found: _show_settings(found.data, service, only_set=only_set))


@command
def support_bundle(output: OutputOption = None, url: Url = None, api_key: ApiKey = None) -> None:
    """Write a ZIP for remote support: versions, settings, states, logs. It holds no secret, no prompt, no answer."""
    content = ServerOptions(url, api_key).ask(lambda gateway: gateway.ask("GET", "/v1/admin/support_bundle"))
    path = output or Path(f"vbatch-support-{datetime.now(UTC):%Y%m%d-%H%M%S}.zip")
    try:
        path.write_bytes(content)
    except OSError as error:
        raise Misused(f"{path} cannot be written: {error.strerror}.") from error
    err.print(f"{path} is written. Read it before you pass it on.", markup=False)


def _show_settings(found: list[ServiceSettings], service: str | None, *, only_set: bool) -> None:
    names = [each.service for each in found]
    if service is not None and service not in names:
        raise Misused(f"There is no service {service!r} here; there are {', '.join(names)}.")
    table = table_of("service", "variable", "value", "from", "default", "a change counts")
    for each in found:
        if service in (None, each.service):
            _add_settings(table, each, only_set=only_set)
    print_table(table)


def _add_settings(table: Table, found: ServiceSettings, *, only_set: bool) -> None:
    if found.trouble:
        err.print(f"{found.service} tells no settings: {found.trouble}", markup=False)
    for setting in found.settings:
        if not only_set or setting.source != "default":
            counts = "at once" if setting.effect == "live" else "at a restart"
            table.add_row(found.service, setting.variable, setting.value, setting.source, setting.default, counts)


def _show_changes(found: list[Change]) -> None:
    if not found:
        out.print("No rate limit and no quota was changed yet.")
        return
    table = table_of("event", "when", "who", "of", "what", "before", "after", numbers=("event", "before", "after"))
    for change in found:
        when = datetime.fromtimestamp(change.at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        for field in change.fields:
            row = (str(change.id), when, change.by, change.target, field.name)
            table.add_row(*row, _limit(field.before), _limit(field.after))
    print_table(table)


def _limit(value: int | None) -> str:
    return "none" if value is None else f"{value:,}"
