"""The events of keys, quotas and limits."""

from __future__ import annotations

from datetime import datetime

from vbatch.contracts import limits
from vbatch.contracts.access import Quota, RateLimits
from vbatch.contracts.events.base import Event
from vbatch.contracts.ids import KeyId, OwnerId


class AccessEvent(Event, frozen=True, kw_only=True):
    """The base of all events of keys, quotas and limits."""


class KeyCreated(AccessEvent, frozen=True, kw_only=True):
    """A key may be used from now on, until `expires_at` if that is set.

    Only the digest of the key is recorded; `hint` is its last four characters. `by` is the id of the key that asked,
    `local`, or `operator`.
    """

    key_id: KeyId
    owner: OwnerId
    name: limits.PersonText
    scopes: limits.Scopes
    sha256: limits.Word
    hint: limits.Word
    by: limits.Word
    expires_at: datetime | None = None


class KeyRevoked(AccessEvent, frozen=True, kw_only=True):
    """The key can no longer be used."""

    key_id: KeyId
    by: limits.Word
    reason: limits.PersonText = ""


class KeyExpirySet(AccessEvent, frozen=True, kw_only=True):
    """The key cannot be used from `expires_at` on. `replaced_by` is set when it was rotated."""

    key_id: KeyId
    expires_at: datetime
    by: limits.Word
    replaced_by: KeyId | None = None


class OwnerQuotaChanged(AccessEvent, frozen=True, kw_only=True):
    """What the owner may have at most. It replaces the previous quota."""

    owner: OwnerId
    quota: Quota
    by: limits.Word


class LimitsChanged(AccessEvent, frozen=True, kw_only=True):
    """How many requests each key may send, from now on in every gateway."""

    before: RateLimits
    after: RateLimits
    by: limits.Word


AnyAccessEvent = KeyCreated | KeyRevoked | KeyExpirySet | OwnerQuotaChanged | LimitsChanged
