"""The params of the audit, and the objects that show its entries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from vbatch.contracts.audit import AuditEntry
from vbatch.gateway.core.pages import BYTES_MAX
from vbatch.gateway.core.refusals import Reason, Refusal
from vbatch.gateway.core.shapes import integer_between, integer_of_text

ENTRIES_DEFAULT, ENTRIES_MAX = 100, 1_000


@dataclass(frozen=True, slots=True)
class AuditParams:
    """At most `limit` entries after sequence `after` and before `before`, filtered by actor, object or action if one is
    named. They come oldest first, or newest first."""

    after: int
    limit: int
    actor: str | None = None
    object_id: str | None = None
    action: str | None = None
    before: int = BYTES_MAX
    is_newest_first: bool = False

    def wants(self, entry: AuditEntry) -> bool:
        """Whether the entry matches the filters, wherever it is in the log; the beginning of an action's name matches,
        too."""
        return (
            self.actor in (None, entry.actor)
            and self.object_id in (None, entry.object_id)
            and entry.action.startswith(self.action or "")
        )


class AuditEntryObject(BaseModel):
    """`id` is the sequence in the log."""

    object: Literal["audit_entry"] = "audit_entry"
    id: int
    at: int
    actor: str
    address: str | None
    action: str
    object_id: str


class AuditPage(BaseModel):
    object: Literal["list"] = "list"
    data: list[AuditEntryObject]
    last_id: int | None
    has_more: bool


def parse_audit_params(query: Mapping[str, str]) -> AuditParams:
    """Parse the query. Raises Refusal."""
    after = integer_between(integer_of_text(query.get("after", "0"), "after"), "after", 0, BYTES_MAX)
    limit = integer_of_text(query.get("limit", str(ENTRIES_DEFAULT)), "limit")
    limit = integer_between(limit, "limit", 1, ENTRIES_MAX)
    before = integer_of_text(query.get("before", str(BYTES_MAX)), "before")
    return AuditParams(
        after,
        limit,
        query.get("actor"),
        query.get("object_id"),
        query.get("action"),
        integer_between(before, "before", 1, BYTES_MAX),
        _is_newest_first(query.get("order", "asc")),
    )


def _is_newest_first(order: str) -> bool:
    if order not in ("asc", "desc"):
        message = f"Invalid value: '{order}'. Supported values are: 'asc', and 'desc'."
        raise Refusal(Reason.VALUE_INVALID, message, "order")
    return order == "desc"


def audit_view(entries: list[AuditEntry], limit: int) -> AuditPage:
    """Build the page; `entries` holds one more than `limit` if there are more."""
    shown = entries[:limit]
    return AuditPage(
        data=[_entry_view(entry) for entry in shown],
        last_id=shown[-1].sequence if shown else None,
        has_more=len(entries) > limit,
    )


def _entry_view(entry: AuditEntry) -> AuditEntryObject:
    return AuditEntryObject(
        id=entry.sequence,
        at=int(entry.at.timestamp()),
        actor=entry.actor,
        address=entry.address,
        action=entry.action,
        object_id=entry.object_id,
    )
