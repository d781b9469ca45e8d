"""For how long files are kept: the policy of the operator, and which files exceed it.

docs/operations.md describes the file that holds the policy.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from vbatch.contracts.ids import FileId, OwnerId

POLICY_BYTES_MAX = 1 << 20
KEPT_MAX = timedelta(days=36_500)
FOREVER = "forever"
UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1)}


class BadRetention(ValueError):
    """The policy cannot be used; the text names the key and says what it may be."""


class Kept(StrEnum):
    """The kinds of files that a policy can have rules for."""

    INPUTS = "inputs"
    OUTPUTS = "outputs"


class AgingFile(NamedTuple):
    """A file that is neither deleted nor expired, and that no unfinished batch reads."""

    sequence: int
    id: FileId
    owner: OwnerId
    is_output: bool
    created_at: datetime

    @property
    def kind(self) -> Kept:
        return Kept.OUTPUTS if self.is_output else Kept.INPUTS


Keep = Mapping[Kept, timedelta | None]
"""How long each kind is kept; None means permanently. For a kind that is not named, the general rule applies."""


@dataclass(frozen=True)
class RetentionPolicy:
    """Without any rule, everything is kept."""

    everybody: Keep = field(default_factory=dict)
    owners: Mapping[OwnerId, Keep] = field(default_factory=dict)

    def over(self, files: Iterable[AgingFile], now: datetime) -> list[AgingFile]:
        """The files that are older than their owner's rule, or the general rule, allows."""
        return [file for file in files if (kept := self._kept(file)) is not None and file.created_at + kept <= now]

    def shortest(self) -> timedelta | None:
        """The shortest time of any rule: no younger file is ever deleted. None if no file ever is."""
        rules = [*self.everybody.values(), *(kept for keep in self.owners.values() for kept in keep.values())]
        return min((kept for kept in rules if kept is not None), default=None)

    def _kept(self, file: AgingFile) -> timedelta | None:
        keep = self.owners.get(file.owner, {})
        return keep[file.kind] if file.kind in keep else self.everybody.get(file.kind)


def read_policy(text: str) -> RetentionPolicy:
    """Parse `[retention]` and `[retention.owners.NAME]`. Raises BadRetention."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadRetention(f"it is not TOML: {error}") from error
    if strangers := content.keys() - {"retention"}:
        raise BadRetention(f"{sorted(strangers)[0]} is unknown: the one table is [retention]")
    table = dict(_table(content.get("retention", {}), "retention"))
    owners = _table(table.pop("owners", {}), "retention.owners")
    return RetentionPolicy(
        _keep(table, "retention"),
        {OwnerId(name): _keep(_table(keep, name), f"retention.owners.{name}") for name, keep in owners.items()},
    )


def _table(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BadRetention(f"{name} must be a table")
    return value


def _keep(table: Mapping[str, object], name: str) -> Keep:
    if strangers := table.keys() - set(Kept):
        raise BadRetention(f"{name}.{sorted(strangers)[0]} is unknown: {' and '.join(Kept)} can be kept")
    return {Kept(key): _span(value, f"{name}.{key}") for key, value in table.items()}


def _span(value: object, name: str) -> timedelta | None:
    if value == FOREVER:
        return None
    digits, unit = (value[:-1], value[-1:]) if isinstance(value, str) else ("", "")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= len(str(KEPT_MAX.days)) and unit in UNITS):
        raise BadRetention(f'{name} must be like "36h", "30d" or "{FOREVER}"')
    return min(int(digits) * UNITS[unit], KEPT_MAX)
