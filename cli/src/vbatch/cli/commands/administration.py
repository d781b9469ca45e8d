"""settings, support-bundle: what the server runs with, and a bundle for whoever helps from afar."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from vbatch.cli.api_types import read
from vbatch.cli.client import connect
from vbatch.cli.exits import Misused
from vbatch.cli.options import ApiKey, AsJson, Url, err, out, print_json, print_table, run, server_url, table_of

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


def settings(
    service: ServiceOption = None,
    only_set: ChangedOption = False,
    changes: ChangesOption = False,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show the settings that each service runs with and where each value comes from; or what was changed live."""

    async def ask() -> None:
        async with connect(server_url(url), api_key) as server:
            answer = await server.ask("GET", "/v1/admin/changes" if changes else "/v1/admin/settings")
        if as_json:
            print_json(answer)
        elif changes:
            _show_changes(read(answer, ChangeList).data)
        else:
            _show_settings(read(answer, SettingsList).data, service, only_set=only_set)

    run(ask())


def support_bundle(output: OutputOption = None, url: Url = None, api_key: ApiKey = None) -> None:
    """Write a ZIP for whoever helps from afar: versions, settings, states, logs. No secret, no prompt, no answer."""

    async def ask() -> None:
        async with connect(server_url(url), api_key) as server:
            content = await server.ask("GET", "/v1/admin/support_bundle")
        path = output or Path(f"vbatch-support-{datetime.now(UTC):%Y%m%d-%H%M%S}.zip")
        try:
            path.write_bytes(content)
        except OSError as error:
            raise Misused(f"{path} cannot be written: {error.strerror}.") from error
        err.print(f"{path} is written. Read it before you pass it on.", markup=False)

    run(ask())


def _show_settings(found: list[ServiceSettings], service: str | None, *, only_set: bool) -> None:
    names = [each.service for each in found]
    if service is not None and service not in names:
        raise Misused(f"There is no service {service!r} here; there are {', '.join(names)}.")
    table = table_of("service", "variable", "value", "from", "default", "a change counts")
    for each in found:
        if service not in (None, each.service):
            continue
        if each.trouble:
            err.print(f"{each.service} tells no settings: {each.trouble}", markup=False)
        for setting in each.settings:
            if not only_set or setting.source != "default":
                counts = "at once" if setting.effect == "live" else "at a restart"
                table.add_row(each.service, setting.variable, setting.value, setting.source, setting.default, counts)
    print_table(table)


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
