"""Commands that are imported when they are called, so that one command does not load the libraries of all others."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup
from typer.main import get_group


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a command is: `place` is "module:attribute" below `vbatch.cli`, of a function or of a group (a Typer)."""

    place: str
    panel: str
    """The heading under which `--help` lists the command."""
    settings: dict[str, object] | None = None
    """Typer's context settings of the command."""

    def load(self, name: str) -> Any:  # noqa: ANN401  # Typer's base class of commands is not public
        """Import the command and return it as Typer runs it."""
        module, attribute = self.place.split(":")
        found = getattr(import_module(f"vbatch.cli.{module}"), attribute)
        parent = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        if isinstance(found, typer.Typer):
            parent.add_typer(found, name=name, rich_help_panel=self.panel)
        else:
            parent.command(name, rich_help_panel=self.panel, context_settings=self.settings)(found)
        return get_group(parent).commands[name]


class _Commands(UserDict[str, Any]):
    """Commands by name. Each is an Entry until it is looked up for the first time."""

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401
        found = self.data[name]
        if isinstance(found, Entry):
            found = self.data[name] = found.load(name)
        return found


class LazyGroup(TyperGroup):
    """A group of commands that a subclass lists as `entries`, in the order of `--help`."""

    entries: ClassVar[Mapping[str, Entry]]

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401  # those of TyperGroup
        super().__init__(**settings)
        self.commands = _Commands(self.entries)

    def list_commands(self, ctx: object) -> list[str]:
        """Return the names without importing anything."""
        return list(self.entries)
