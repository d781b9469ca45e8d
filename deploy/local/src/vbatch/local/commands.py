"""What a supervisor needs to start one program. This module starts nothing itself."""

from collections.abc import Mapping
from typing import NamedTuple


class Command(NamedTuple):
    """A foreground program: its arguments, its additional environment, and the user that it runs as.

    `user` is None if the program keeps the caller's user. The change of user is part of `argv`.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    user: str | None


class LocalTrouble(Exception):
    """The local stack cannot do what was requested. The text says why and what to do."""
