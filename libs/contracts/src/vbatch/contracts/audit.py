"""Who did what, read from the headers of the events that requests caused, so that no body has to be read.

`ce-actor` and `ce-clientaddress` are CloudEvents extensions that the gateway adds to every event that a request caused.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from vbatch.contracts.catalogue import KINDS

ACTOR_HEADER = "ce-actor"
ADDRESS_HEADER = "ce-clientaddress"
OPERATOR_SOURCE = "/vbatch/operator"
ACTING_WRITERS = frozenset({"gateway", "operator"})


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One action of a user. `actor` is the id of a key, `local` or `operator`. The operator has no address."""

    sequence: int
    at: datetime
    actor: str
    address: str | None
    action: str
    object_id: str


def audit_subjects() -> tuple[str, ...]:
    """Return the subject of every event that a request or an operator can cause."""
    kinds = [kind for kind in KINDS if ACTING_WRITERS.intersection(kind.writers)]
    return tuple(f"evt.{kind.aggregate}.*.{kind.place or kind.name.split('.')[1]}" for kind in kinds)


def audit_entry(sequence: int, headers: Mapping[str, str]) -> AuditEntry | None:
    """Return the entry of an event; None for an event that a service caused by itself."""
    is_operators = headers.get("ce-source") == OPERATOR_SOURCE
    actor = headers.get(ACTOR_HEADER) or ("operator" if is_operators else None)
    if actor is None:
        return None
    return AuditEntry(
        sequence=sequence,
        at=datetime.fromisoformat(headers["ce-time"]),
        actor=actor,
        address=headers.get(ADDRESS_HEADER),
        action=_action(headers["ce-type"]),
        object_id=headers["ce-subject"],
    )


def _action(ce_type: str) -> str:
    """Return `batch.created` for `vbatch.batch.created.v2`."""
    return ce_type.removeprefix("vbatch.").rsplit(".v", 1)[0]
