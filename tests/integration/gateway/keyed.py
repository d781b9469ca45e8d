"""A gateway whose log holds a key of every kind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.integration.gateway.stage import Stage, stage_set
from tests.integration.results.stage import Place, tell
from vbatch.contracts import events as e
from vbatch.contracts.access import Scope
from vbatch.contracts.ids import OwnerId
from vbatch.gateway.core.keys import KeyParams, NewKey, new_key
from vbatch.journal.port import Journal


def made(owner: str, scope: Scope, number: int, *, ends_in: timedelta | None = None) -> NewKey:
    now = datetime.now(UTC)
    ask = KeyParams(OwnerId(owner), f"{owner} {scope}", (scope,), now + ends_in if ends_in is not None else None)
    return new_key(ask, by="operator", now=now, entropy=bytes([number]) * 32)


@dataclass(frozen=True)
class Keys:
    read: NewKey
    user: NewKey
    admin: NewKey
    other: NewKey
    revoked: NewKey
    expired: NewKey
    spare: NewKey

    def events(self) -> list[e.AnyEvent]:
        keys = (self.read, self.user, self.admin, self.other, self.revoked, self.expired, self.spare)
        gone = e.KeyRevoked(at=datetime.now(UTC), key_id=self.revoked.event.key_id, by="operator")
        return [*(key.event for key in keys), gone]


def all_keys(owner: str = "ann") -> Keys:
    """All of them are the owner's, except the key of `other`, who is bob, and the admin's, who is root."""
    return Keys(
        read=made(owner, Scope.READ, 1),
        user=made(owner, Scope.USER, 2),
        admin=made("root", Scope.ADMIN, 3),
        other=made("bob", Scope.USER, 4),
        revoked=made(owner, Scope.ADMIN, 5),
        expired=made(owner, Scope.ADMIN, 6, ends_in=timedelta(seconds=-1)),
        spare=made(owner, Scope.READ, 7),
    )


@asynccontextmanager
async def keyed(
    place: Place, journal: Journal, *, owner: str = "ann", **more: Any
) -> AsyncIterator[tuple[Stage, Keys]]:
    """A gateway whose log holds a key of every kind."""
    keys = all_keys(owner)
    await tell(journal, keys.events())
    async with stage_set(place, journal, **more) as stage:
        yield stage, keys


def bearer(key: NewKey) -> dict[str, str]:
    return {"Authorization": f"Bearer {key.text}"}
