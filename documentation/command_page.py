"""docs/cli.md: every command with its arguments and options, from the command itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import typer.main
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from documentation.markdown import GENERATED, table
from vbatch.cli.exits import EXIT_MEANINGS
from vbatch.cli.main import NAME, app

INTRODUCTION = """# The `vbatch` command

`vbatch` starts and stops the server on this machine, submits and follows batches on any server, and reads the event
log. It is installed in `.venv/bin`. Every command prints its help with `--help`.

- `--url` names another server than the one on this machine, `--api-key` the key for it.
- `--json` prints JSON for programs: one document, or one document on each line where there are several.
- Results go to standard output; progress and errors go to standard error.
"""
TYPE_NAMES: Mapping[str, str] = {
    "int": "integer",
    "float": "number",
    "str": "text",
    "Path": "path",
}


def cli_page() -> str:
    root = typer.main.get_command(app)
    if not isinstance(root, TyperGroup):
        raise TypeError("the command has subcommands")
    commands = dict(_commands(root, NAME))
    source = GENERATED.format(source="the command itself")
    overview = table(
        ("command", "what it does"), [(_link(path), _first(command)) for path, command in commands.items()]
    )
    sections = [_section(path, command) for path, command in commands.items()]
    return "\n".join([INTRODUCTION, source, overview, _exit_codes(), *sections])


def _commands(group: TyperGroup, path: str) -> Iterator[tuple[str, TyperCommand | TyperGroup]]:
    """Each command below the group with its whole name. A group that does nothing by itself is left out."""
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            if command.invoke_without_command:
                yield f"{path} {name}", command
            yield from _commands(command, f"{path} {name}")
        elif isinstance(command, TyperCommand):
            yield f"{path} {name}", command


def _exit_codes() -> str:
    rows = [(str(int(code)), meaning) for code, meaning in EXIT_MEANINGS.items()]
    return "## Exit codes\n\n" + table(("code", "meaning"), rows)


def _section(path: str, command: TyperCommand | TyperGroup) -> str:
    arguments = [each for each in command.params if isinstance(each, TyperArgument)]
    options = [each for each in command.params if isinstance(each, TyperOption) and not each.hidden]
    words = [path, *(_argument_name(each) for each in arguments), *(["[OPTIONS]"] if options else [])]
    parts = [f"## {path}\n", _help(command), f"```text\n{' '.join(words)}\n```\n"]
    if arguments:
        rows = [(f"`{_argument_name(each)}`", _meaning(each)) for each in arguments]
        parts.append(table(("argument", "meaning"), rows))
    if options:
        parts.append(table(("option", "value", "default", "meaning"), [_option_row(each) for each in options]))
    return "\n".join(parts)


def _option_row(option: TyperOption) -> tuple[str, ...]:
    names = ", ".join(f"`{name}`" for name in option.opts)
    return (names, _value(option), _default(option), _meaning(option))


def _value(option: TyperOption) -> str:
    if option.is_flag:
        return ""
    bounds = "" if option.min is None and option.max is None else f", {option.min or 0} to {option.max}"
    if option.max is None and option.min is not None:
        bounds = f", from {option.min}"
    return f"{option.metavar or _type_name(option.bare_type())}{bounds}"


def _type_name(bare: str) -> str:
    """A type as people call it; an option with a list may be given several times."""
    if bare.startswith("list["):
        return f"{_type_name(bare[5:-1])}, repeatable"
    return TYPE_NAMES.get(bare, bare.lower())


def _default(option: TyperOption) -> str:
    return "" if option.is_flag or option.default is None else f"`{option.default}`"


def _meaning(parameter: TyperArgument | TyperOption) -> str:
    variable = f" Environment variable: `{parameter.envvar}`." if parameter.envvar else ""
    return (parameter.help or "") + variable


def _argument_name(argument: TyperArgument) -> str:
    return argument.metavar or str(argument.name).upper()


def _help(command: TyperCommand | TyperGroup) -> str:
    return (command.help or "").strip() + "\n"


def _first(command: TyperCommand | TyperGroup) -> str:
    return _help(command).split("\n\n")[0]


def _link(path: str) -> str:
    return f"[`{path}`](#{path.replace(' ', '-')})"
