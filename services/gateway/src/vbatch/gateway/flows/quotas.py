"""Checks before a write whether an owner may have more, according to the read model."""

from __future__ import annotations

from vbatch.contracts.ids import OwnerId
from vbatch.gateway.core.quotas import check_batches, check_bytes, check_priority, day_of, limits_batches
from vbatch.gateway.ports import Dependencies


async def must_have_room_for_batches(dependencies: Dependencies, owner: OwnerId, priority: int, count: int) -> None:
    """Raises Refusal when a quota is used up. Simultaneous creates may each find the last place; the next one is
    refused."""
    quota = dependencies.access.quota(owner)
    check_priority(quota, priority)
    if limits_batches(quota):
        now = dependencies.now()
        check_batches(quota, await dependencies.reads.usage(owner, now, day_of(now)), count)


async def must_have_room_for_bytes(dependencies: Dependencies, owner: OwnerId, size: int) -> None:
    """Raises Refusal when the quota is used up. Simultaneous uploads may each find the last place; the next one is
    refused."""
    quota = dependencies.access.quota(owner)
    if quota.stored_bytes_max is not None:
        check_bytes(quota, await dependencies.reads.usage(owner, dependencies.now(), day_of(dependencies.now())), size)
