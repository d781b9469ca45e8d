"""The objects of the access routes, which are ours: keys, owners, limits, and the caller itself."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from vbatch.contracts.access import Quota, Scope
from vbatch.contracts.ids import OwnerId
from vbatch.gateway.core.access import ApiKey, Caller
from vbatch.gateway.core.keys import NewKey
from vbatch.gateway.core.quotas import Usage, as_fields
from vbatch.gateway.core.rate_limits import KeyLimits, Limited


class KeyObject(BaseModel):
    """`last_used_at` is what this gateway process has seen since its start."""

    object: Literal["api_key"] = "api_key"
    id: str
    owner: str
    name: str
    scopes: list[Scope]
    hint: str
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    replaced_by: str | None
    last_used_at: int | None


class NewKeyObject(KeyObject):
    """`key` is shown in this answer and never again."""

    key: str


class KeyList(BaseModel):
    object: Literal["list"] = "list"
    data: list[KeyObject]


class QuotaObject(BaseModel):
    """Null means no limit."""

    unfinished_batches_max: int | None
    unanswered_requests_max: int | None
    stored_bytes_max: int | None
    tokens_per_day_max: int | None
    priority_max: int | None


class UsageObject(BaseModel):
    unfinished_batches: int
    unanswered_requests: int
    stored_bytes: int
    tokens_today: int


class OwnerObject(BaseModel):
    """`usage` is null while the read model is away."""

    object: Literal["owner"] = "owner"
    id: str
    keys: int
    quota: QuotaObject
    usage: UsageObject | None


class OwnerList(BaseModel):
    object: Literal["list"] = "list"
    data: list[OwnerObject]


class LimitsObject(BaseModel):
    """The limits for each key, per minute, in each gateway process; 0 means no limit. `pinned` names the limits that
    the settings fix."""

    object: Literal["limits"] = "limits"
    creates_per_minute_max: int
    uploads_per_minute_max: int
    reads_per_minute_max: int
    bytes_per_minute_max: int
    pinned: list[str]


class MeObject(BaseModel):
    """`key_id` is null if the server requires no key; `usage` is null while the read model is away."""

    object: Literal["me"] = "me"
    owner: str
    key_id: str | None
    scopes: list[Scope]
    expires_at: int | None
    quota: QuotaObject
    usage: UsageObject | None
    server_version: str


def key_view(key: ApiKey, last_used_at: datetime | None) -> KeyObject:
    return KeyObject(
        id=key.id,
        owner=key.owner,
        name=key.name,
        scopes=list(key.scopes),
        hint=key.hint,
        created_at=int(key.created_at.timestamp()),
        expires_at=_seconds(key.expires_at),
        revoked_at=_seconds(key.revoked_at),
        replaced_by=key.replaced_by,
        last_used_at=_seconds(last_used_at),
    )


def new_key_view(made: NewKey) -> NewKeyObject:
    event = made.event
    return NewKeyObject(
        id=event.key_id,
        owner=event.owner,
        name=event.name,
        scopes=list(event.scopes),
        hint=event.hint,
        created_at=int(event.at.timestamp()),
        expires_at=_seconds(event.expires_at),
        revoked_at=None,
        replaced_by=None,
        last_used_at=None,
        key=made.text,
    )


def owner_view(owner: OwnerId, key_count: int, quota: Quota, usage: Usage | None) -> OwnerObject:
    return OwnerObject(id=owner, keys=key_count, quota=quota_view(quota), usage=_usage_view(usage))


def limits_view(limits: KeyLimits) -> LimitsObject:
    return LimitsObject(
        creates_per_minute_max=limits.in_force(Limited.CREATES),
        uploads_per_minute_max=limits.in_force(Limited.UPLOADS),
        reads_per_minute_max=limits.in_force(Limited.READS),
        bytes_per_minute_max=limits.in_force(Limited.BYTES),
        pinned=[limited.value for limited in limits.pinned],
    )


def me_view(caller: Caller, quota: Quota, usage: Usage | None, version: str) -> MeObject:
    is_key = caller.key is not None
    return MeObject(
        owner=caller.owner,
        key_id=caller.name if is_key else None,
        scopes=list(caller.key.scopes) if caller.key else [caller.scope],
        expires_at=_seconds(caller.key.expires_at) if caller.key else None,
        quota=quota_view(quota),
        usage=_usage_view(usage),
        server_version=version,
    )


def quota_view(quota: Quota) -> QuotaObject:
    return QuotaObject(**as_fields(quota))


def _usage_view(usage: Usage | None) -> UsageObject | None:
    if usage is None:
        return None
    return UsageObject(
        unfinished_batches=usage.unfinished_batches,
        unanswered_requests=usage.unanswered_requests,
        stored_bytes=usage.stored_bytes,
        tokens_today=usage.tokens_today,
    )


def _seconds(at: datetime | None) -> int | None:
    return int(at.timestamp()) if at is not None else None
