"""What a supervisor needs to start one program. Starts nothing itself."""

from collections.abc import Mapping
from typing import NamedTuple


class Command(NamedTuple):
    """A foreground program: its arguments, what it adds to the environment, and the user it ends up as.

    `user` is None when the program keeps the caller's user; the change of user is part of `argv`.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    user: str | None


class LocalTrouble(Exception):
    """The local stack cannot do what was asked; the text says why and what to do."""
