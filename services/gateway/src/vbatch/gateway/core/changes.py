"""The changes of rate limits and quotas while the server ran, each with the values before it, so that it can be
undone."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import msgspec
from pydantic import BaseModel

from vbatch.contracts import events as e
from vbatch.contracts.access import NO_QUOTA, Quota, RateLimits
from vbatch.contracts.ids import OwnerId
from vbatch.gateway.core.shapes import integer_between, integer_of_text

CHANGES_DEFAULT, CHANGES_MAX = 50, 200
ALL_KEYS = "all keys"


@dataclass(frozen=True, slots=True)
class Change:
    """One change of limits or of a quota. `target` is an owner, or all keys."""

    sequence: int
    at: datetime
    by: str
    action: str
    target: str
    before: RateLimits | Quota
    after: RateLimits | Quota


@dataclass
class Changes:
    """The newest changes, as they are folded; a quota's event holds only the new values."""

    count_max: int
    _quotas: dict[OwnerId, Quota] = field(default_factory=dict)
    _found: deque[Change] = field(init=False)

    def __post_init__(self) -> None:
        self._found = deque(maxlen=self.count_max)

    def evolve(self, event: e.AnyEvent, sequence: int) -> None:
        """Fold one event; those of other subjects change nothing."""
        match event:
            case e.LimitsChanged():
                change = Change(sequence, event.at, event.by, "limits.changed", ALL_KEYS, event.before, event.after)
                self._found.append(change)
            case e.OwnerQuotaChanged():
                before = self._quotas.get(event.owner, NO_QUOTA)
                self._quotas[event.owner] = event.quota
                action, owner = "owner.quota_changed", event.owner
                self._found.append(Change(sequence, event.at, event.by, action, owner, before, event.quota))
            case _:
                pass

    def newest_first(self) -> list[Change]:
        return list(reversed(self._found))


class FieldChangeObject(BaseModel):
    """For a quota null means no limit; for a rate limit 0 does."""

    name: str
    before: int | None
    after: int | None


class ChangeObject(BaseModel):
    """`id` is the sequence in the log; `target` is an owner, or `all keys`."""

    object: Literal["change"] = "change"
    id: int
    at: int
    by: str
    action: str
    target: str
    fields: list[FieldChangeObject]


class ChangeList(BaseModel):
    """Newest first."""

    object: Literal["list"] = "list"
    data: list[ChangeObject]


def parse_changes_params(query: Mapping[str, str]) -> int:
    """Return how many changes are requested. Raises Refusal."""
    limit = integer_of_text(query.get("limit", str(CHANGES_DEFAULT)), "limit")
    return integer_between(limit, "limit", 1, CHANGES_MAX)


def changes_view(changes: list[Change]) -> ChangeList:
    return ChangeList(data=[_change_view(change) for change in changes])


def _change_view(change: Change) -> ChangeObject:
    return ChangeObject(
        id=change.sequence,
        at=int(change.at.timestamp()),
        by=change.by,
        action=change.action,
        target=change.target,
        fields=_field_changes(change),
    )


def _field_changes(change: Change) -> list[FieldChangeObject]:
    before, after = msgspec.structs.asdict(change.before), msgspec.structs.asdict(change.after)
    changed = [name for name in after if before[name] != after[name]]
    return [FieldChangeObject(name=name, before=before[name], after=after[name]) for name in changed]
