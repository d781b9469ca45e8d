"""Who may do what, according to the log: keys, quotas of owners, rate limits. Everything is in memory, so a key can be
verified while the read model is away.

Until the log holds a key, the keys of the key file count. If there is no key file either, any client that reaches a
server listening on loopback is the owner `local`, with every right.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import assert_never
from urllib.parse import urlsplit

from vbatch.contracts import events as e
from vbatch.contracts.access import NO_LIMITS, NO_QUOTA, RANKS, Quota, RateLimits, Scope
from vbatch.contracts.ids import KeyId, OwnerId, imported_key_id, key_id_of
from vbatch.gateway.core.api_keys import LOCAL_OWNER, ApiKeys, digest_of, key_in
from vbatch.gateway.core.refusals import (
    access_unknown,
    key_missing,
    key_wrong,
    keys_not_made,
    scope_missing,
)

LOCAL = "local"
"""The name of the caller if the server requires no key."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The client that makes a request. `name` is the id of the key, or `local`."""

    owner: OwnerId
    name: str
    scope: Scope
    key: ApiKey | None = None


LOCAL_CALLER = Caller(LOCAL_OWNER, LOCAL, Scope.ADMIN)
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def is_asked_from_here(host: str | None, origin: str | None) -> bool:
    """Whether a request to a server without keys comes from a program or page of this machine.

    A browser on this machine also shows pages of other sites. Their requests carry the site's Origin, or its name as
    Host if the site makes that name resolve to this machine.
    """
    is_here = _name_of(f"//{host}") in LOCAL_NAMES
    return is_here and (origin is None or _name_of(origin) in LOCAL_NAMES)


def _name_of(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """The state of a key; `sequence` is that of its last event."""

    id: KeyId
    owner: OwnerId
    name: str
    scopes: tuple[Scope, ...]
    sha256: str
    hint: str
    created_at: datetime
    sequence: int
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    replaced_by: KeyId | None = None

    @property
    def scope(self) -> Scope:
        """The widest scope of the key."""
        return max(self.scopes, key=RANKS.__getitem__)

    def opens(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass
class Access:
    """The keys, quotas and limits that are in force. `is_local`: the server listens on loopback only."""

    file_keys: ApiKeys
    is_local: bool
    is_caught_up: bool = False
    sequence: int = 0
    keys: dict[KeyId, ApiKey] = field(default_factory=dict)
    limits: RateLimits = NO_LIMITS
    _by_digest: dict[str, KeyId] = field(default_factory=dict)
    _quotas: dict[OwnerId, Quota] = field(default_factory=dict)

    def evolve(self, event: e.AnyEvent, sequence: int) -> None:
        """Fold one event; events about other subjects change nothing."""
        if isinstance(event, e.AccessEvent):
            self._fold(event, sequence)
        self.sequence = max(self.sequence, sequence)

    def _fold(self, event: e.AnyAccessEvent, sequence: int) -> None:
        match event:
            case e.KeyCreated():
                self._created(event, sequence)
            case e.KeyRevoked():
                self._change(event.key_id, sequence, revoked_at=event.at)
            case e.KeyExpirySet():
                changes = {"expires_at": event.expires_at, "replaced_by": event.replaced_by}
                self._change(event.key_id, sequence, **changes)
            case e.OwnerQuotaChanged():
                self._quotas[event.owner] = event.quota
            case e.LimitsChanged():
                self.limits = event.after
            case _:
                assert_never(event)

    def caller(self, authorization: str | None, now: datetime) -> Caller:
        """Return the caller of the key in an Authorization header.

        Raises Refusal when the key is missing or wrong, and for every caller until the past has been read.
        """
        if not self.is_caught_up:
            raise access_unknown()
        if not self.keys and not self.file_keys.are_required:
            return self._keyless()
        text = key_in(authorization or "")
        if not text:
            raise key_missing()
        digest = digest_of(text)
        return self._from_log(text, digest, now) if self.keys else self._from_file(text, digest)

    def must_be_allowed(self, caller: Caller, needed: Scope) -> None:
        """Raises Refusal."""
        if RANKS[caller.scope] < RANKS[needed]:
            raise scope_missing(needed)

    def is_still(self, caller: Caller, now: datetime) -> bool:
        """Whether an admitted caller would still be admitted, for answers that take long."""
        return not self.keys if caller.key is None else self.keys[caller.key.id].opens(now)

    def knows(self, authorization: str | None) -> bool:
        """Whether the id in the key belongs to one of our keys; this only looks the id up and hashes nothing."""
        key_id = key_id_of(key_in(authorization or ""))
        return key_id is not None and key_id in self.keys

    def quota(self, owner: OwnerId) -> Quota:
        return self._quotas.get(owner, NO_QUOTA)

    def quotas(self) -> Mapping[OwnerId, Quota]:
        return self._quotas

    def keys_that_open(self, now: datetime) -> Iterable[ApiKey]:
        return (key for key in self.keys.values() if key.opens(now))

    def _keyless(self) -> Caller:
        if not self.is_local:
            raise keys_not_made()
        return LOCAL_CALLER

    def _from_log(self, text: str, digest: str, now: datetime) -> Caller:
        key_id = self._by_digest.get(digest)
        if key_id is None or not self.keys[key_id].opens(now):
            raise key_wrong(text)
        key = self.keys[key_id]
        return Caller(key.owner, key.id, key.scope, key)

    def _from_file(self, text: str, digest: str) -> Caller:
        owner = self.file_keys.owners.get(digest)
        if owner is None:
            raise key_wrong(text)
        return Caller(owner, imported_key_id(digest), Scope.USER)

    def _created(self, event: e.KeyCreated, sequence: int) -> None:
        if event.key_id in self.keys or event.sha256 in self._by_digest:
            return  # the first one counts
        self._by_digest[event.sha256] = event.key_id
        self.keys[event.key_id] = ApiKey(
            id=event.key_id,
            owner=event.owner,
            name=event.name,
            scopes=event.scopes,
            sha256=event.sha256,
            hint=event.hint,
            created_at=event.at,
            sequence=sequence,
            expires_at=event.expires_at,
        )

    def _change(self, key_id: KeyId, sequence: int, **changes: datetime | KeyId | None) -> None:
        if key_id in self.keys:
            self.keys[key_id] = replace(self.keys[key_id], sequence=sequence, **changes)  # type: ignore[arg-type]  # named
