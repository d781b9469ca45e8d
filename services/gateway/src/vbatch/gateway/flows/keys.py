"""API keys, quotas and limits: parse the request, decide, append, wait until the change is in force here."""

from __future__ import annotations

from collections.abc import Sequence

from vbatch.contracts import events as e
from vbatch.contracts.access import Quota, RateLimits
from vbatch.contracts.ids import KeyId, OwnerId
from vbatch.contracts.subjects import key_events
from vbatch.gateway.core.access import ApiKey, Caller
from vbatch.gateway.core.keys import KeyParams, NewKey, check_may_create, new_key, rotation
from vbatch.gateway.core.quotas import Usage, day_of
from vbatch.gateway.core.refusals import no_such_key, unavailable
from vbatch.gateway.flows.access_feed import AccessFeed
from vbatch.gateway.flows.writing import append, append_all
from vbatch.gateway.ports import Dependencies, ReadModelUnavailable
from vbatch.journal.port import Conflict, Guard

ENTROPY_BYTES = 32


async def create_key(dependencies: Dependencies, feed: AccessFeed, caller: Caller, params: KeyParams) -> NewKey:
    """Raises Refusal."""
    check_may_create(feed.access, params, dependencies.now())
    made = new_key(params, by=caller.name, now=dependencies.now(), entropy=dependencies.entropy(ENTROPY_BYTES))
    await _in_force(dependencies, feed, await append(dependencies, made.event))
    return made


async def rotate_key(
    dependencies: Dependencies, feed: AccessFeed, caller: Caller, key_id: str, keep_hours: int
) -> NewKey:
    """Return a new key like this one, which ends after `keep_hours`; both changes are one write. Raises Refusal."""
    key = find_key(feed, key_id)
    made, expiry = rotation(
        key, keep_hours=keep_hours, by=caller.name, now=dependencies.now(), entropy=dependencies.entropy(ENTROPY_BYTES)
    )
    await _change(dependencies, feed, key, [made.event, expiry])
    return made


async def revoke_key(dependencies: Dependencies, feed: AccessFeed, caller: Caller, key_id: str, reason: str) -> ApiKey:
    """Revoke the key and return it; revoking it again is not an error. Raises Refusal."""
    key = find_key(feed, key_id)
    if key.revoked_at is None:
        event = e.KeyRevoked(at=dependencies.now(), key_id=key.id, by=caller.name, reason=reason)
        await _in_force(dependencies, feed, await append(dependencies, event))
    return find_key(feed, key_id)


def find_key(feed: AccessFeed, key_id: str) -> ApiKey:
    """Raises Refusal."""
    key = feed.access.keys.get(KeyId(key_id))
    if key is None:
        raise no_such_key(key_id)
    return key


async def change_quota(
    dependencies: Dependencies, feed: AccessFeed, caller: Caller, owner: OwnerId, quota: Quota
) -> None:
    if feed.access.quota(owner) != quota:
        event = e.OwnerQuotaChanged(at=dependencies.now(), owner=owner, quota=quota, by=caller.name)
        await _in_force(dependencies, feed, await append(dependencies, event))


async def change_limits(dependencies: Dependencies, feed: AccessFeed, caller: Caller, after: RateLimits) -> None:
    before = feed.access.limits
    if before != after:
        event = e.LimitsChanged(at=dependencies.now(), before=before, after=after, by=caller.name)
        await _in_force(dependencies, feed, await append(dependencies, event))


async def usage_of(dependencies: Dependencies, owner: OwnerId) -> Usage | None:
    """Return the owner's usage; None while the read model is away."""
    try:
        return await dependencies.reads.usage(owner, dependencies.now(), day_of(dependencies.now()))
    except ReadModelUnavailable:
        return None


async def _change(dependencies: Dependencies, feed: AccessFeed, key: ApiKey, events: Sequence[e.Event]) -> None:
    try:
        await _in_force(
            dependencies, feed, await append_all(dependencies, events, Guard(key_events(key.id), key.sequence))
        )
    except Conflict as error:
        raise unavailable("The key was changed by another request at the same time.") from error


async def _in_force(dependencies: Dependencies, feed: AccessFeed, sequence: int) -> None:
    """Wait until the change is in force. Raises Refusal when the write succeeded but this gateway has not read it back
    yet."""
    if not await feed.reaches(sequence, dependencies.own_write_seconds_max):
        raise unavailable("Your request was recorded, but is not in force yet.")
